"""Everything that is said about a pull request is read on every forge, page by page, and nothing that is hidden."""

from datetime import timedelta

import pytest

from flows.forges.reviews.conversation import Comment, Thread
from flows.forges.reviews.replies import Note
from tests.support.forges.bitbucket import BitbucketStandIn
from tests.support.forges.fixtures import serve_reviews
from tests.support.forges.gitea import GiteaStandIn
from tests.support.forges.github import GitHubStandIn
from tests.support.forges.gitlab import GitLabStandIn
from tests.support.forges.review_state import ELSEWHERE, SECRET, START
from tests.support.forges.stand_in import Fault, ForgeStandIn, Reply
from tests.support.forges.stand_ins import STAND_INS

each_forge = pytest.mark.parametrize("kind", STAND_INS, ids=[kind.name for kind in STAND_INS])


def texts(threads: tuple[Thread, ...]) -> list[list[str]]:
    return [[comment.text for comment in thread.comments] for thread in threads]


def only(threads: tuple[Thread, ...]) -> tuple[Thread, Comment]:
    (thread,) = threads
    return thread, thread.comments[0]


@each_forge
def test_a_thread_on_a_line_is_read_with_all_that_matters(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        first = forge.reviews.say("ada", "Why é?\n\n1. so", 5, path="src/a b.py", line=12, edited=7)
        forge.reviews.say("grace", "Yes", 6, path="src/a b.py", line=12, answers=first.id)
        thread, comment = only(api.threads(1).threads)
        assert (thread.path, thread.line, thread.is_resolved, thread.is_outdated) == ("src/a b.py", 12, False, False)
        assert [each.text for each in thread.comments] == ["Why é?\n\n1. so", "Yes"]
        assert comment.author.id == str(forge.reviews.account_id("ada"))
        assert comment.author.login.startswith("ada")
        assert not comment.author.is_bot
        assert timedelta() <= comment.created - (START + timedelta(minutes=5)) < timedelta(seconds=1)
        assert timedelta() <= comment.edited - (START + timedelta(minutes=7)) < timedelta(seconds=1)
        assert thread.comments[1].edited == thread.comments[1].created


@pytest.mark.parametrize("kind", [GitHubStandIn, GiteaStandIn], ids=lambda kind: kind.name)
def test_a_comment_of_a_review_counts_from_the_moment_at_which_the_review_was_submitted(
    kind: type[ForgeStandIn],
) -> None:
    with serve_reviews(kind) as (forge, api):
        forge.reviews.say("ada", "on a line", 5, path="a.py", line=12, submitted=9)
        forge.reviews.say("ada", "edited later", 5, path="a.py", line=13, submitted=9, edited=11)
        forge.reviews.say(
            "ada", "on the whole", 5, review="COMMENT" if kind is GiteaStandIn else "COMMENTED", submitted=9
        )
        comments = {each.text: each for thread in api.threads(1).threads for each in thread.comments}
        moments = {text: (each.edited - START) // timedelta(minutes=1) for text, each in comments.items()}
        assert moments == {"on a line": 9, "edited later": 11, "on the whole": 9}


@each_forge
def test_all_pages_are_read_and_each_is_asked_for_at_the_api(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        for number in range(7):
            forge.reviews.say("ada", f"conversation {number}")
            forge.reviews.say("ada", f"line {number}", path="a.py", line=number + 1)
        first = forge.reviews.say("ada", "long 0", path="b.py", line=1)
        for number in range(1, 6):
            forge.reviews.say("grace", f"long {number}", path="b.py", line=1, answers=first.id)
        conversation = api.threads(1)
        expected = [[f"{name} {number}"] for number in range(7) for name in ("conversation", "line")]
        assert sorted(texts(conversation.threads)) == sorted([*expected, [f"long {number}" for number in range(6)]])
        assert conversation.omission == ""
        assert all(ELSEWHERE not in request.path for request in forge.requests)


@each_forge
def test_an_empty_conversation_is_empty(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (_, api):
        assert api.threads(1).threads == ()


@each_forge
def test_a_resolved_thread_is_marked(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        forge.reviews.say("ada", "done", path="a.py", line=1, is_resolved=True)
        thread, _ = only(api.threads(1).threads)
        assert thread.is_resolved


@pytest.mark.parametrize("kind", [GitHubStandIn, GitLabStandIn, BitbucketStandIn], ids=lambda kind: kind.name)
def test_an_outdated_thread_is_marked_where_the_forge_tells(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        forge.reviews.say("ada", "old lines", path="a.py", line=3, is_outdated=True)
        thread, _ = only(api.threads(1).threads)
        assert (thread.is_outdated, thread.line) == (True, 3)


@pytest.mark.parametrize("kind", STAND_INS[1:], ids=[kind.name for kind in STAND_INS[1:]])
def test_a_comment_on_a_removed_line_has_its_place(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        forge.reviews.say("ada", "why removed?", path="a.py", line=4, is_old_side=True)
        thread, _ = only(api.threads(1).threads)
        assert (thread.path, thread.line) == ("a.py", 4)


@each_forge
def test_a_comment_on_a_whole_file_has_no_line(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        forge.reviews.say("ada", "rename it", path="a.py")
        thread, _ = only(api.threads(1).threads)
        assert (thread.path, thread.line) == ("a.py", 0)


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("github", "hidden"),
        ("github", "pending"),
        ("gitlab", "system"),
        ("gitlab", "internal"),
        ("gitea", "pending"),
        ("bitbucket", "deleted"),
        ("bitbucket", "pending"),
        ("azure", "deleted"),
        ("azure", "system"),
    ],
)
def test_what_not_everybody_may_read_is_left_out(name: str, hidden: str) -> None:
    kind = next(kind for kind in STAND_INS if kind.name == name)
    with serve_reviews(kind) as (forge, api):
        forge.reviews.say("ada", "not for all", path="a.py", line=1, hidden=hidden)
        first = forge.reviews.say("ada", "for all", path="b.py", line=1)
        if hidden in {"hidden", "deleted", "internal"}:
            forge.reviews.say("ada", "nor this", path="b.py", line=1, answers=first.id, hidden=hidden)
        if (name, hidden) != ("github", "pending") and name != "gitea":  # only a review can be pending there
            forge.reviews.say("ada", "nor that", hidden=hidden)
        assert texts(api.threads(1).threads) == [["for all"]]


def test_a_reply_is_possible_in_a_thread_whose_first_comment_is_hidden() -> None:
    with serve_reviews(GitHubStandIn) as (forge, api):
        first = forge.reviews.say("stranger", "spam", path="a.py", line=1, hidden="hidden")
        forge.reviews.say("ada", "hide that", path="a.py", line=1, answers=first.id)
        thread, comment = only(api.threads(1).threads)
        assert (thread.id, comment.text) == (f"thread-{first.id}", "hide that")


@pytest.mark.parametrize("kind", [GitHubStandIn, GiteaStandIn], ids=lambda kind: kind.name)
def test_the_summary_of_a_review_is_a_thread_and_that_of_a_dismissed_one_is_resolved(kind: type[ForgeStandIn]) -> None:
    states = ("CHANGES_REQUESTED", "DISMISSED") if kind is GitHubStandIn else ("REQUEST_CHANGES", "REQUEST_CHANGES")
    with serve_reviews(kind) as (forge, api):
        forge.reviews.say("ada", "please test", review=states[0])
        forge.reviews.say("ada", "no longer", review=states[1], is_resolved=True)
        forge.reviews.say("ada", "  ", review=states[0])
        threads = api.threads(1).threads
        assert texts(threads) == [["please test"], ["no longer"]]
        assert [thread.is_resolved for thread in threads] == [False, True]
        assert {thread.path for thread in threads} == {""}


def test_the_comments_of_one_review_on_the_same_line_are_one_thread_on_gitea() -> None:
    with serve_reviews(GiteaStandIn) as (forge, api):
        first = forge.reviews.say("ada", "new side", path="a.py", line=3)
        forge.reviews.say("grace", "another line", path="a.py", line=4, answers=first.id)
        forge.reviews.say("grace", "same line", path="a.py", line=3, answers=first.id)
        assert texts(api.threads(1).threads) == [["new side", "same line"], ["another line"]]


@each_forge
def test_a_bot_is_recognised(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        forge.reviews.say("renovate", "update me")
        _, comment = only(api.threads(1).threads)
        assert comment.author.is_bot
        assert "renovate" in comment.author.login


def test_a_bot_of_github_does_not_have_the_name_of_a_person() -> None:
    with serve_reviews(GitHubStandIn) as (forge, api):
        forge.reviews.say("renovate", "update me")
        _, comment = only(api.threads(1).threads)
        assert comment.author.login == "renovate[bot]"


def test_an_account_that_no_longer_exists_has_no_id() -> None:
    with serve_reviews(GitHubStandIn) as (forge, api):
        forge.reviews.say("gone", "farewell")
        _, comment = only(api.threads(1).threads)
        assert (comment.author.id, comment.author.login) == ("", "ghost")


def test_a_comment_that_was_imported_from_another_forge_is_nobodys() -> None:
    with serve_reviews(GiteaStandIn) as (forge, api):
        shown = {
            "id": 1,
            "user": {"id": 11, "login": "ada"},
            "original_author": "stranger",
            "body": "imported",
            "created_at": "2026-11-28T10:00:00+01:00",
        }
        forge.faults.append(Fault("GET .*/issues/1/comments", Reply(200, [None, shown])))
        _, comment = only(api.threads(1).threads)
        assert comment.author.id == ""
        assert comment.created == START - timedelta(hours=1)


@each_forge
def test_a_bound_on_what_is_read_is_said(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind, max_items=5) as (forge, api):
        for number in range(9):
            forge.reviews.say("ada", f"comment {number}", path="a.py", line=number + 1)
        conversation = api.threads(1)
        read = [thread.comments[0].text for thread in conversation.threads]
        assert read == [f"comment {number}" for number in range(9)][-len(read) :], "the newest ones, the oldest first"
        assert 1 <= len(read) <= 5
        assert "only the newest 5 comments" in conversation.omission
        assert "older ones" in conversation.omission
        assert len(forge.requests) < 20
        forge.reviews.comments[1:] = []
        assert api.threads(1).omission == ""


@each_forge
def test_a_bound_that_is_just_reached_leaves_nothing_out(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind, max_items=6) as (forge, api):
        for number in range(3):
            forge.reviews.say("ada", f"comment {number}")
        conversation = api.threads(1)
        assert (len(conversation.threads), conversation.omission) == (3, "")


@each_forge
def test_strangers_cannot_hide_a_new_comment_behind_many_old_ones(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind, max_items=5) as (forge, api):
        for _ in range(12):
            forge.reviews.say("stranger", "again")
        forge.reviews.say("ada", "rename it", 1, path="a.py", line=3)
        forge.reviews.say("grace", "and why?", 2)
        found = texts(api.threads(1).threads)
        assert ["rename it"] in found
        assert ["and why?"] in found


def test_a_long_thread_of_github_is_read_from_its_end_and_can_be_answered() -> None:
    with serve_reviews(GitHubStandIn, max_items=5) as (forge, api):
        first = forge.reviews.say("ada", "begin", path="a.py", line=3)
        for number in range(8):
            forge.reviews.say("stranger", f"again {number}", path="a.py", line=3, answers=first.id)
        forge.reviews.say("ada", "rename it", path="a.py", line=3, answers=first.id)
        (thread,) = api.threads(1).threads
        assert [each.text for each in thread.comments] == ["again 5", "again 6", "again 7", "rename it"]
        api.reply(1, thread, Note("done", "run", SECRET))
        assert forge.reviews.comments[-1].answers == first.id


def test_a_number_of_github_is_read_from_the_address_and_may_be_long() -> None:
    with serve_reviews(GitHubStandIn) as (forge, api):
        number = 2**40
        forge.reviews.say("ada", "Why?").id = number
        forge.reviews.say("ada", "Why?", path="a.py", line=3).id = number + 1
        forge.reviews.say("ada", "Why?", review="COMMENTED").id = number + 2
        threads = {thread.id: thread.comments[0].id for thread in api.threads(1).threads}
        assert threads == {
            f"comment-{number}": f"{number}",
            f"thread-{number + 1}": f"{number + 1}",
            f"review-{number + 2}": f"{number + 2}",
        }


def test_a_circle_of_parents_ends() -> None:
    with serve_reviews(BitbucketStandIn) as (forge, api):
        forge.reviews.say("ada", "a", answers=2)
        forge.reviews.say("ada", "b", answers=1)
        assert sum(len(thread.comments) for thread in api.threads(1).threads) == 2


def test_a_list_of_github_that_names_the_same_page_again_ends() -> None:
    with serve_reviews(GitHubStandIn) as (forge, api):
        page = {"nodes": [], "pageInfo": {"hasPreviousPage": True, "startCursor": "1"}}
        lists = {"comments": page, "reviews": page, "reviewThreads": page}
        forge.faults.append(Fault("graphql", Reply(200, {"data": {"repository": {"pullRequest": lists}}}), count=99))
        assert api.threads(1).threads == ()
        assert len(forge.requests) == 2


@pytest.mark.parametrize("kind", STAND_INS[:4], ids=[kind.name for kind in STAND_INS[:4]])
def test_comments_that_fill_a_page_beyond_its_limit_are_read_one_by_one(
    kind: type[ForgeStandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_reviews(kind) as (forge, api):
        monkeypatch.setattr("flows.forges.api.client._ANSWER_LIMIT_BYTES", 150_000)
        for number in range(5):
            length = 100_000 if number in {2, 3} else 10
            forge.reviews.say("stranger", "x" * length, path="a.py", line=number + 1)
        lengths = [len(thread.comments[0].text) for thread in api.threads(1).threads]
        assert lengths == [10, 10, 100_000, 100_000, 10]
        assert api.threads(1).omission == ""


@pytest.mark.parametrize("kind", [GitLabStandIn, BitbucketStandIn], ids=lambda kind: kind.name)
def test_a_comment_that_is_too_long_to_be_read_is_said(
    kind: type[ForgeStandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_reviews(kind) as (forge, api):
        monkeypatch.setattr("flows.forges.api.client._ANSWER_LIMIT_BYTES", 50_000)
        for text in ("a", "x" * 100_000, "b", "c"):
            forge.reviews.say("stranger", text, path="a.py", line=1)
        conversation = api.threads(1)
        assert texts(conversation.threads) == [["a"], ["b"], ["c"]]
        assert conversation.omission == "1 of the comments are too long to be read"
        for _ in range(9):
            forge.reviews.say("stranger", "x" * 100_000, path="a.py", line=1)
        rest = {
            "gitlab": "only the first 3 comments were read; the later ones are not considered",
            "bitbucket": "only the newest 0 comments were read; the older ones are not considered",
        }
        assert api.threads(1).omission == f"5 of the comments are too long to be read; {rest[kind.name]}"
