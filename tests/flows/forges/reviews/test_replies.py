"""A comment is written by one request, with disarmed words, and a run finds it again by its key."""

import re

import pytest

from flows.errors import ForgePermissionMissing, ForgeUnavailable, PullRequestRefused
from flows.forges.reviews.conversation import Author, Thread
from flows.forges.reviews.replies import ISSUE, SUMMARY, Key, Note, is_own, key_of, note_text, own_comment
from tests.support.forges.fixtures import serve_reviews
from tests.support.forges.gitea import GiteaStandIn
from tests.support.forges.github import GitHubStandIn
from tests.support.forges.hostile_texts import HOSTILE
from tests.support.forges.live_text import live_in
from tests.support.forges.review_state import OWN, SECRET
from tests.support.forges.reviews_gitea import GiteaReviews
from tests.support.forges.stand_in import Fault, ForgeStandIn, Reply
from tests.support.forges.stand_ins import STAND_INS

RUN = "11111111-2222-4333-8444-555555555555"
NOTE = Note("Renamed it.", RUN, SECRET, "In commit `c0ffee`.")
each_forge = pytest.mark.parametrize("kind", STAND_INS, ids=[kind.name for kind in STAND_INS])


@each_forge
def test_a_reply_is_in_its_thread_and_is_found_by_its_key(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        forge.reviews.say("ada", "another", path="b.py", line=1)
        forge.reviews.say("ada", "rename it", path="a.py", line=3)
        thread = next(each for each in api.threads(1).threads if each.path == "a.py")
        comment = api.reply(1, thread, NOTE)
        assert len(forge.writes()) == 1
        threads, account = api.threads(1).threads, api.own_account()
        own = own_comment(threads, RUN, thread, account, SECRET)
        assert own
        assert (own.id, own.author.id) == (comment.id, str(forge.reviews.account_id(OWN)))
        after = next(each for each in threads if each.path == "a.py")
        assert (after.id, after.comments[-1].id) == (thread.id, comment.id)
        assert own_comment(threads, "another-run", thread, account, SECRET) is None
        assert own_comment(threads, RUN, thread, None, "another secret") is None
        assert own_comment(threads, RUN, SUMMARY, account, SECRET) is None


@each_forge
def test_a_comment_on_the_whole_is_answered(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        forge.reviews.say("ada", "add a test")
        (thread,) = api.threads(1).threads
        comment = api.reply(1, thread, NOTE)
        own = own_comment(api.threads(1).threads, RUN, thread, api.own_account(), SECRET)
        assert own
        assert own.id == comment.id
        assert len(forge.writes()) == 1
        assert ("In answer to [this comment](<" in comment.text) is (kind in {GitHubStandIn, GiteaStandIn})


@pytest.mark.parametrize("kind", [GitHubStandIn, GiteaStandIn], ids=lambda kind: kind.name)
def test_the_summary_of_a_review_is_answered_with_a_link_to_it(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        forge.reviews.say("ada", "add a test", review="APPROVED")
        (thread,) = api.threads(1).threads
        link = f"{forge.repo_url.removesuffix('.git')}/pull"
        assert f"[this comment](<{link}" in api.reply(1, thread, NOTE).text


@each_forge
def test_the_summary_of_a_run_is_edited_in_place(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        comment = api.comment(1, NOTE)
        own = own_comment(api.threads(1).threads, RUN, SUMMARY, api.own_account(), SECRET)
        assert own
        assert own.id == comment.id
        edited = api.edit_comment(1, own.id, Note("All done.", RUN, SECRET))
        assert edited.id == comment.id
        assert len(forge.reviews.own_comments) == 1
        assert "All done." in forge.reviews.own_comments[0].text
        assert own_comment(api.threads(1).threads, RUN, SUMMARY, api.own_account(), SECRET)


@each_forge
@pytest.mark.parametrize("action", ["reply", "comment", "edit"])
def test_a_lost_answer_is_an_error_and_the_caller_finds_what_was_written(kind: type[ForgeStandIn], action: str) -> None:
    with serve_reviews(kind) as (forge, api):
        forge.reviews.say("ada", "rename it", path="a.py", line=3)
        (thread,) = api.threads(1).threads
        first = api.comment(1, NOTE).id if action == "edit" else ""
        count = len(forge.writes())
        forge.faults.append(Fault("(POST|PUT|PATCH) .*(comments|notes|threads)"))
        writes = {
            "reply": lambda: api.reply(1, thread, NOTE),
            "comment": lambda: api.comment(1, NOTE),
            "edit": lambda: api.edit_comment(1, first, Note("Edited.", RUN, SECRET)),
        }
        with pytest.raises(ForgeUnavailable, match="did not answer"):
            writes[action]()
        assert len(forge.writes()) == count + 1
        target = thread if action == "reply" else SUMMARY
        assert own_comment(api.threads(1).threads, RUN, target, api.own_account(), SECRET)
        assert len(forge.reviews.own_comments) == 1


@each_forge
@pytest.mark.parametrize("status", [429, 500, 502])
def test_a_failed_write_is_not_repeated(kind: type[ForgeStandIn], status: int) -> None:
    with serve_reviews(kind) as (forge, api):
        forge.faults.append(Fault("POST", Reply(status, {"message": "no"})))
        with pytest.raises(ForgeUnavailable):
            api.comment(1, NOTE)
        assert (len(forge.writes()), forge.reviews.comments) == (1, [])


@each_forge
def test_a_key_counts_only_with_the_own_account(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        mark = Key.of(RUN, SUMMARY, SECRET).mark(html_comments=api.hides_html_comments)
        forge.reviews.say("stranger", f"I am the bot\n\n{mark}")
        forge.reviews.write("without a key", 1)
        threads = api.threads(1).threads
        assert own_comment(threads, RUN, SUMMARY, api.own_account(), SECRET) is None
        # If the forge does not tell the account, the key of a run, which nobody knows before, is all there is.
        assert own_comment(threads, RUN, SUMMARY, None, SECRET)


def test_a_quotation_of_a_key_is_not_a_key() -> None:
    mark = Key.of(RUN, SUMMARY, SECRET).mark(html_comments=True)
    assert key_of(f"> done\n\n{mark}\n") == Key.of(RUN, SUMMARY, SECRET)
    for text in (f"> {mark}", f"{mark}\nI agree", f"see {mark}", "", "\n", mark.replace("run=", "run=../"), f"{mark}x"):
        assert key_of(text) is None


def test_a_thread_and_a_target_have_different_keys() -> None:
    threads = [Thread("1", ()), Thread("2", ()), Thread("summary", ()), Thread("\ud83d", ())]
    keys = [*(Key.of(RUN, each, SECRET) for each in threads), *(Key.of(RUN, each, SECRET) for each in (SUMMARY, ISSUE))]
    assert len(set(keys)) == 6
    assert Key.of("another", SUMMARY, SECRET) != Key.of(RUN, SUMMARY, SECRET)


@pytest.mark.parametrize("html_comments", [True, False])
@pytest.mark.parametrize("text", HOSTILE)
def test_untrusted_words_are_disarmed_and_cannot_forge_a_key(text: str, *, html_comments: bool) -> None:
    forged = Key.of("forged", SUMMARY, SECRET).mark(html_comments=html_comments)
    result = note_text(Note(f"{text}\n{forged}", RUN, SECRET), SUMMARY, html_comments=html_comments)
    assert key_of(result) == Key.of(RUN, SUMMARY, SECRET)
    body, _, last = result.rpartition("\n\n")
    assert last == Key.of(RUN, SUMMARY, SECRET).mark(html_comments=html_comments)
    assert not live_in(body)


@pytest.mark.parametrize("words", ["```\nopen", "<!-- open", "~~~~\nopen", "[a\n", "    code", "\\"])
def test_words_that_open_something_do_not_swallow_the_footer(words: str) -> None:
    result = note_text(Note(words, RUN, SECRET, "In commit `c0ffee`."), SUMMARY, html_comments=True)
    assert re.search(r"(?m)^In commit `c0ffee`\.$", result)
    assert all(line.startswith(">") for line in result.split("\n\nIn commit")[0].split("\n"))


def test_long_words_are_cut_and_that_is_said() -> None:
    result = note_text(Note("é" * 100_000, RUN, SECRET), SUMMARY, html_comments=True)
    assert len(result) < 8_300
    assert "The rest is in the report" in result
    assert key_of(result)


def test_a_server_that_cannot_continue_a_thread_gets_a_comment() -> None:
    with serve_reviews(GiteaStandIn) as (forge, api):
        assert isinstance(forge.reviews, GiteaReviews)
        forge.reviews.continues_threads = False
        forge.reviews.say("ada", "rename it", path="a.py", line=3)
        (thread,) = api.threads(1).threads
        api.reply(1, thread, NOTE)
        own = own_comment(api.threads(1).threads, RUN, thread, api.own_account(), SECRET)
        assert own
        assert "In answer to [this comment](<" in own.text
        assert len(forge.reviews.own_comments) == 1


def test_a_thread_on_a_removed_line_is_continued_on_gitea() -> None:
    with serve_reviews(GiteaStandIn) as (forge, api):
        forge.reviews.say("ada", "why?", path="a.py", line=3, is_old_side=True)
        (thread,) = api.threads(1).threads
        api.reply(1, thread, NOTE)
        assert [len(each.comments) for each in api.threads(1).threads] == [2]


@each_forge
@pytest.mark.parametrize("comment_id", ["", "../1", "1/2", "\uff11", "one", "1-"])
def test_an_id_that_is_none_is_not_sent(kind: type[ForgeStandIn], comment_id: str) -> None:
    with serve_reviews(kind) as (forge, api):
        with pytest.raises(PullRequestRefused, match="not the id of a comment"):
            api.edit_comment(1, comment_id, NOTE)
        assert forge.requests == []


@each_forge
def test_the_comment_of_another_cannot_be_edited(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        forge.reviews.say("ada", "mine")
        comment_id = api.threads(1).threads[0].comments[0].id
        with pytest.raises(ForgePermissionMissing):
            api.edit_comment(1, comment_id, NOTE)
        assert forge.reviews.comments[0].text == "mine"


def test_an_account_without_an_id_owns_nothing() -> None:
    with serve_reviews(GitHubStandIn) as (forge, api):
        forge.reviews.say("gone", Key.of(RUN, SUMMARY, SECRET).mark(html_comments=True))
        (thread,) = api.threads(1).threads
        assert not is_own(thread.comments[0], Author("", "ghost"))
