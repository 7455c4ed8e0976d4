"""Each thread of a review gets one answer, and the run one summary, however often the step is repeated."""

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prefect.logging import disable_run_logger
from pydantic import SecretStr

from flows.errors import FollowUpInProgress, ForgePermissionMissing, ForgeUnavailable, PullRequestRefused
from flows.forges.reviews.replies import SUMMARY, Key
from flows.repository.clone import Checkout
from flows.repository.collect import Change
from flows.repository.credentials import GitCredentials
from flows.run.branch_records import records
from flows.run.run import FollowUpRun
from flows.run.summary import review_summary
from flows.sandbox.workspace import Workspace, workspace
from flows.state.agent_report import ReviewReply
from flows.state.branch_lock import LIFE_SECONDS
from flows.state.branch_record import with_answers
from flows.state.files import StateFile
from flows.state.review_record import Review
from flows.tasks import reply as step
from flows.tasks import review as review_step
from tests.support.follow_up import HEAD, RUN, open_follow_up, review_of
from tests.support.forges.stand_in import EMAIL, TOKEN, Fault, ForgeStandIn, Reply
from tests.support.forges.stand_ins import STAND_INS, open_stand_in_reviews

each_forge = pytest.mark.parametrize("kind", STAND_INS, ids=[kind.name for kind in STAND_INS])
CREDENTIALS = GitCredentials(SecretStr(TOKEN), EMAIL)
PUSHED = Change("b" * 40, Checkout("work", "work", HEAD))
REPLIES = (ReviewReply(1, "Renamed it. @grace", is_changed=True), ReviewReply(2, "It is faster."))


@pytest.fixture(autouse=True)
def directories(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setattr(step, "newest_credentials", lambda _run, credentials: credentials)
    with workspace() as directories, disable_run_logger():
        yield directories


def heard(forge: ForgeStandIn) -> Review:
    """Return a review with all comments that the stand-in has, in the order of their texts."""
    with open_stand_in_reviews(forge) as api:
        threads = api.threads(1).threads
    comments = sorted((comment.text, thread.id, comment.id) for thread in threads for comment in thread.comments)
    return review_of(*((thread, comment) for _, thread, comment in comments))


def a_review(forge: ForgeStandIn) -> None:
    forge.add("a title", "a body", "work", "main")
    forge.reviews.say("ada", "1 rename it", 1, path="a.py", line=3)
    forge.reviews.say("grace", "2 why?", 2, path="b.py", line=1)
    forge.reviews.say("ada", "3 and the docs?", 3)


def answer(run: FollowUpRun, change: Change = PUSHED) -> None:
    step.answer_review.fn(run, CREDENTIALS, change)


@each_forge
def test_each_thread_gets_one_answer_and_the_run_one_summary(
    kind: type[ForgeStandIn], directories: Workspace, tmp_path: Path
) -> None:
    with kind() as forge:
        a_review(forge)
        run = open_follow_up(directories, tmp_path, forge, REPLIES, heard(forge))
        answer(run)
        own = [comment.text for comment in forge.reviews.own_comments]
        assert len(own) == 4
        assert "Renamed it." in own[0]
        assert f"In commit {PUSHED.commit}." in own[0]
        assert "@grace" not in own[0]
        assert "It is faster." in own[1]
        assert PUSHED.commit not in own[1]
        assert f"The agent has not answered this comment, but has pushed commit {PUSHED.commit}." in own[2]
        assert "Why it is so." in own[3]
        assert f"Pushed commit {PUSHED.commit}." in own[3]
        writes = len(forge.writes())
        answer(run)
        assert len(forge.writes()) == writes, "a repetition writes nothing"
        record = records(run).of_branch("work")
        assert record is not None
        assert set(record.answered) == {comment.id for comment in run.reviews[0].comments}
        assert record.requested_at == run.reviews[0].requested_at
        forge.check_contract()


@each_forge
def test_the_summary_is_edited_in_place(kind: type[ForgeStandIn], directories: Workspace, tmp_path: Path) -> None:
    with kind() as forge:
        a_review(forge)
        run = open_follow_up(directories, tmp_path, forge, REPLIES, heard(forge))
        answer(run)
        count = len(forge.reviews.own_comments)
        later = Change("d" * 40, PUSHED.checkout)
        answer(run, later)
        assert len(forge.reviews.own_comments) == count
        assert f"Pushed commit {later.commit}." in forge.reviews.own_comments[-1].text
        forge.check_contract()


@each_forge
@pytest.mark.parametrize("lost", range(4))
def test_a_lost_answer_leads_to_no_second_comment(
    kind: type[ForgeStandIn], lost: int, directories: Workspace, tmp_path: Path
) -> None:
    with kind() as forge:
        a_review(forge)
        run = open_follow_up(directories, tmp_path, forge, REPLIES, heard(forge))
        writes = 0

        def lose(moment: str) -> None:
            nonlocal writes
            if moment == "before":
                if writes == lost:
                    forge.faults.append(Fault(".*"))
                writes += 1

        forge.on_write = lose
        with pytest.raises(ForgeUnavailable):
            answer(run)
        answer(run)
        own = [comment.text for comment in forge.reviews.own_comments]
        assert len(own) == len(set(own)) == 4
        forge.check_contract()


@each_forge
def test_a_comment_of_another_run_or_of_another_account_is_no_answer(
    kind: type[ForgeStandIn], directories: Workspace, tmp_path: Path
) -> None:
    with kind() as forge:
        a_review(forge)
        review = heard(forge)
        run = open_follow_up(directories, tmp_path, forge, REPLIES, review)
        answer(run)
        own = list(forge.reviews.own_comments)
        for comment in own:
            forge.reviews.comments.remove(comment)
        forged = forge.reviews.say("stranger", own[0].text, 4)
        forge.reviews.say("our-bot", own[0].text.replace(RUN, RUN.replace("2", "3")), 4)
        second = open_follow_up(directories, tmp_path / "other", forge, REPLIES, review)
        answer(second)
        assert len([each for each in forge.reviews.own_comments if RUN in each.text]) == 4
        assert forged in forge.reviews.comments


@each_forge
def test_a_forged_key_stops_no_answer_also_if_the_forge_does_not_show_the_account(
    kind: type[ForgeStandIn], directories: Workspace, tmp_path: Path
) -> None:
    with kind() as forge:
        forge.reviews.shows_account = False
        a_review(forge)
        review = heard(forge)
        with open_stand_in_reviews(forge) as api:
            html_comments = api.hides_html_comments
        forged = [
            forge.reviews.say("stranger", Key.of(RUN, target, "").mark(html_comments=html_comments), 4)
            for target in (*(f"thread {each}" for each in review.threads), SUMMARY)
        ]
        texts = [comment.text for comment in forged]
        for _ in range(2):
            answer(open_follow_up(directories, tmp_path, forge, REPLIES, review))
            assert len(forge.reviews.own_comments) == 4
        assert [comment.text for comment in forged] == texts
        forge.check_contract()


def test_a_refusal_after_a_push_is_a_warning_and_the_next_run_answers_the_rest(
    directories: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "answer_review", step.answer_review.fn)
    monkeypatch.setattr(step, "get_run_logger", lambda: logging.getLogger(__name__))
    with STAND_INS[0]() as forge:
        a_review(forge)
        run = open_follow_up(directories, tmp_path, forge, REPLIES, heard(forge))
        refusal = Reply(403, {"message": "Resource not accessible by personal access token"})
        forge.faults.append(Fault("POST .*/issues/1/comments", refusal, 2))
        step.reply(run, CREDENTIALS, PUSHED)
        [warning] = run.warnings
        assert warning.startswith("answered 2 of 3 threads of the review, and the rest could not be answered (Forge")
        record = records(run).of_branch("work")
        assert record is not None
        assert (len(record.answered), record.requested_at) == (2, "")
        with pytest.raises(ForgePermissionMissing):
            step.reply(run, CREDENTIALS, Change("", PUSHED.checkout))


def test_a_run_that_pushed_nothing_and_fails_records_what_it_has_answered(
    directories: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next follow-up would answer the same threads again."""
    monkeypatch.setattr(step, "answer_review", step.answer_review.fn)
    with STAND_INS[0]() as forge:
        a_review(forge)
        run = open_follow_up(directories, tmp_path, forge, REPLIES, heard(forge))
        forge.faults.append(Fault("POST .*/issues/1/comments", Reply(403, {"message": "no"}), 2))
        with pytest.raises(ForgePermissionMissing):
            step.reply(run, CREDENTIALS, Change("", PUSHED.checkout))
        record = records(run).of_branch("work")
        assert record is not None
        assert (len(record.answered), record.requested_at) == (2, "")


def test_each_answer_is_recorded_at_once_because_the_run_may_be_cancelled(
    directories: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancel(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(step, "save_replies", cancel)
    with STAND_INS[0]() as forge:
        a_review(forge)
        run = open_follow_up(directories, tmp_path, forge, REPLIES, heard(forge))
        with pytest.raises(KeyboardInterrupt):
            answer(run)
        record = records(run).of_branch("work")
        assert record is not None
        assert (len(record.answered), len(forge.reviews.own_comments)) == (1, 1)


@each_forge
def test_a_thread_that_the_forge_refuses_to_continue_does_not_keep_the_others_from_an_answer(
    kind: type[ForgeStandIn], directories: Workspace, tmp_path: Path
) -> None:
    with kind() as forge:
        a_review(forge)
        run = open_follow_up(directories, tmp_path, forge, REPLIES, heard(forge))
        refusal = Reply(422, {"message": "this thread is locked"})
        is_first = True

        def refuse(moment: str) -> None:
            nonlocal is_first
            if moment == "before" and is_first:
                forge.faults.append(Fault(".*", refusal))
                is_first = False

        forge.on_write = refuse
        with pytest.raises(PullRequestRefused, match="this thread is locked"):
            answer(run)
        assert len(run.answered) == 2
        assert len(forge.reviews.own_comments) == 3, "two answers and the summary"
        answer(run)
        assert len(forge.reviews.own_comments) == 4
        forge.check_contract()


def test_a_run_that_pushed_nothing_has_the_newest_session(
    directories: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "answer_review", step.answer_review.fn)
    with STAND_INS[0]() as forge:
        a_review(forge)
        run = open_follow_up(directories, tmp_path, forge, REPLIES, heard(forge))
        records(run).save(run.record)
        step.reply(run, CREDENTIALS, Change("", PUSHED.checkout))
        record = records(run).of_pull_request(1)
        assert record is not None
        assert (record.run_id, record.head) == (RUN, HEAD)
        assert "No file was changed, and nothing was pushed." in forge.reviews.own_comments[-1].text


@pytest.fixture
def branches(monkeypatch: pytest.MonkeyPatch) -> None:
    """The remote has two branches, and the run was requested an hour after all comments."""
    refs: Any = type("Refs", (), {"branches": {"work": HEAD, "main": "0" * 40}, "default_branch": "main"})
    remote: Any = type("Remote", (), {"refs": lambda _self: refs})
    monkeypatch.setattr(review_step, "remote", lambda _run, _credentials: remote())
    monkeypatch.setattr(review_step, "requested_at", lambda: "2026-11-28T11:00:00+00:00")


def reviewers(forge: ForgeStandIn) -> tuple[str, ...]:
    """Return the ids with which a run hears the reviewers on each forge."""
    return tuple(str(forge.reviews.account_id(name)) for name in ("ada", "grace"))


@each_forge
@pytest.mark.usefixtures("branches")
def test_the_answers_of_a_lost_run_are_known_to_the_next_one(
    kind: type[ForgeStandIn], directories: Workspace, tmp_path: Path
) -> None:
    with kind() as forge:
        a_review(forge)
        lost = open_follow_up(directories, tmp_path, forge, REPLIES, heard(forge))
        lost.lock.take()
        with pytest.raises(ForgeUnavailable):
            fail_at_the_third_write(forge, lost)
        forge.on_write = lambda _moment: None
        assert len(forge.reviews.own_comments) == 2
        next_run = open_follow_up(directories, tmp_path, forge, reviewers_heard=reviewers(forge))
        next_run.lock.run_id, next_run.lock.clock = "the-next-run", lambda: time.time() + LIFE_SECONDS
        next_run.lock.take()
        [comment] = review_step.read_review.fn(next_run, CREDENTIALS).comments
        assert comment.thread == lost.reviews[0].threads[2]
        forge.check_contract()


def fail_at_the_third_write(forge: ForgeStandIn, run: FollowUpRun) -> None:
    begun = len(forge.writes())

    def lose(moment: str) -> None:
        if moment == "before" and len(forge.writes()) - begun == 2:
            forge.faults.append(Fault(".*"))

    forge.on_write = lose
    answer(run)


@pytest.mark.usefixtures("branches")
def test_a_run_that_resumes_after_another_one_answers_only_what_is_left(directories: Workspace, tmp_path: Path) -> None:
    with STAND_INS[0]() as forge:
        a_review(forge)
        review = heard(forge)
        lost = open_follow_up(directories, tmp_path, forge, REPLIES, review)
        lost.saved.store.save_sealed(StateFile.REVIEW, review.pack())
        answered = with_answers(lost.record, [(each.id, each.edited) for each in review.comments[:2]], "")
        resumed = replace(lost, record=answered)
        assert review_step.read_review.fn(resumed, CREDENTIALS).comments == review.comments
        answer(resumed)
        assert len(forge.reviews.own_comments) == 2, "one answer, and the summary"
        all_answered = with_answers(lost.record, [(each.id, each.edited) for each in review.comments], "")
        lost.saved.finished = None
        before_the_agent = replace(lost, record=all_answered)
        nothing = review_step.read_review.fn(before_the_agent, CREDENTIALS)
        assert (nothing.comments, nothing.request) == ((), "")
        assert not review_step.asks_for_something(before_the_agent, nothing)


@pytest.mark.usefixtures("branches")
@pytest.mark.parametrize("target", ["/new/name/pulls/1", "/repositories/5/pulls/1"])
def test_a_renamed_repository_is_an_error_that_says_what_to_do(
    target: str, directories: Workspace, tmp_path: Path
) -> None:
    with STAND_INS[0]() as forge:
        a_review(forge)
        run = open_follow_up(directories, tmp_path, forge)
        forge.faults.append(Fault("GET .*/pulls/1", Reply(301, {"message": "Moved"}, {"location": forge.url + target})))
        with pytest.raises(PullRequestRefused, match="start implement with repo_url, with branch_name=work"):
            review_step.read_review.fn(run, CREDENTIALS)


def test_a_thread_that_was_deleted_has_no_answer(directories: Workspace, tmp_path: Path) -> None:
    with STAND_INS[0]() as forge:
        a_review(forge)
        run = open_follow_up(directories, tmp_path, forge, REPLIES, heard(forge))
        del forge.reviews.comments[0]
        for _ in range(2):
            answer(run)
            summary = review_summary(run)
            assert summary is not None
            assert summary.text == "3 comments heard, 2 of 3 threads answered, 1 not found any more, 0 not heard"
        record = records(run).of_branch("work")
        assert record is not None
        assert record.requested_at == run.reviews[0].requested_at, "nothing is left to answer"


def test_a_run_that_has_lost_its_lock_writes_nothing(directories: Workspace, tmp_path: Path) -> None:
    with STAND_INS[0]() as forge:
        a_review(forge)
        run = open_follow_up(directories, tmp_path, forge, REPLIES, heard(forge))
        other = replace(run.lock, run_id="another-run")
        other.take()
        with pytest.raises(FollowUpInProgress, match="the run another-run"):
            answer(run)
        assert forge.writes() == []


@each_forge
@pytest.mark.usefixtures("branches")
def test_what_is_read_once_is_read_by_each_attempt(
    kind: type[ForgeStandIn], directories: Workspace, tmp_path: Path
) -> None:
    with kind() as forge:
        a_review(forge)
        forge.reviews.say("stranger", "4 delete it", 4)
        run = open_follow_up(directories, tmp_path, forge)
        if kind.name in {"bitbucket", "azure"}:
            unknown = review_step.read_review.fn(run, CREDENTIALS)
            assert not unknown.comments
            assert len(unknown.unheard) == 4
            assert all("add the id to reviewers_heard" in line for line in unknown.unheard)
            run = open_follow_up(directories, tmp_path, forge, reviewers_heard=reviewers(forge))
        review = review_step.read_review.fn(run, CREDENTIALS)
        assert len(review.comments) == 3
        assert "> 1 rename it" in review.request
        assert "delete it" not in review.request
        [unheard] = review.unheard
        assert "stranger" in unheard
        forge.reviews.say("ada", "5 too late", 5)
        assert review_step.read_review.fn(run, CREDENTIALS) == review
        forge.check_contract()
