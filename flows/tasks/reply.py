"""Defines the step `reply`: it answers each thread of the review once, and says in one comment what the run did.

A write may have happened although its answer was lost, so the forge is asked first: a comment of this run is found by
its key. Then it is recorded.
"""

from dataclasses import replace

from prefect import get_run_logger

from flows.errors import PullRequestRefused, RunError, Superseded
from flows.forges.reviews.base import ReviewApi
from flows.forges.reviews.conversation import Author, Thread
from flows.forges.reviews.replies import SUMMARY, Note, note_text, own_comment
from flows.outcome.verification import result_text
from flows.redaction import redact
from flows.repository.collect import Change
from flows.repository.credentials import GitCredentials
from flows.repository.forge_apis import open_review_api
from flows.run.branch_lock import check_branch
from flows.run.branch_records import record_answers
from flows.run.lease import check_lease
from flows.run.rounds import status_of
from flows.run.run import FollowUpRun
from flows.state.comment_secret import comment_secret
from flows.state.review_record import Replies, load_replies, save_replies
from flows.tasks.review import is_answered
from flows.tasks.secret import newest_credentials
from flows.tasks.task import step
from flows.verification.results import Status


def reply(run: FollowUpRun, credentials: GitCredentials, change: Change) -> None:
    """Answer the review. If the branch is pushed, an error is part of the run's report, and ends nothing.

    Raises:
        Superseded: A later attempt of the run has taken over.
        RunError: Nothing was pushed, and the answers could not be written.
    """
    [review] = run.reviews
    if run.saved.finished is None:  # no agent had anything to do
        return
    if not review.number:
        record_answers(run, review, change)
        return
    try:
        answer_review(run, credentials, change)
    except Superseded:
        raise
    except RunError as error:
        record_answers(run, review, change)  # so that the next follow-up does not answer a thread again
        if not change.commit:
            raise
        text = (
            f"answered {run.answers} of {len(review.threads)} threads of the review, and the rest could not be "
            f"answered ({type(error).__name__}: {error.sentences}): the next follow-up answers it"
        )
        get_run_logger().warning(text)
        run.warnings.append(text)


@step("reply")
def answer_review(run: FollowUpRun, credentials: GitCredentials, change: Change) -> None:
    """Write what is missing of the answers to the threads, and of the comment about the run.

    Raises:
        ForgeAuthFailed, ForgePermissionMissing, ForgeUnavailable, PullRequestRefused: See `ForgeApi`.
    """
    [review] = run.reviews
    check_lease(run.saved.store)
    replies, secret = load_replies(run.saved.store), comment_secret(run.saved.store)
    run.answered[:], run.missing[:] = replies.threads, replies.missing
    with open_review_api(run.request, newest_credentials(run, credentials)) as api:
        account = api.own_account()
        conversation = api.threads(review.number)
        threads = {thread.id: thread for thread in conversation.threads}
        refusals = list[PullRequestRefused]()
        for thread_id in review.threads:
            if thread_id in replies.threads:
                continue
            thread, is_done = threads.get(thread_id), is_answered(run, review, thread_id)
            if is_done:
                get_run_logger().info("another run has answered a thread of the review in the meantime")
            elif thread is None:
                get_run_logger().info("a thread of the review does not exist any more, so it gets no answer")
            elif own_comment(conversation.threads, _run_id(run), thread, account, secret) is None:
                check_lease(run.saved.store)
                check_branch(run)
                try:
                    api.reply(review.number, thread, _note(run, thread, change, secret))
                except PullRequestRefused as error:  # it says nothing about the other threads
                    refusals.append(error)
                    continue
            replies = replies.with_thread(thread_id, is_missing=thread is None and not is_done)
            run.answered[:], run.missing[:] = replies.threads, replies.missing
            record_answers(run, review, change)  # this run may be cancelled, and another one started
            save_replies(run.saved.store, replies)
        _summarize(run, api, conversation.threads, account, replies, change, secret)
    if refusals:
        raise refusals[0]
    record_answers(run, review, change)
    get_run_logger().info("threads answered: %d", run.answers)


def _summarize(
    run: FollowUpRun,
    api: ReviewApi,
    threads: tuple[Thread, ...],
    account: Author | None,
    replies: Replies,
    change: Change,
    secret: str,
) -> None:
    """Write the one comment about the run, or bring it up to date."""
    [review] = run.reviews
    report = run.saved.finished.report if run.saved.finished else None
    note = Note(redact(report.summary) if report else "", _run_id(run), secret, _footer(run, change))
    existing = own_comment(threads, _run_id(run), SUMMARY, account, secret)
    check_lease(run.saved.store)
    if existing is None:
        comment = api.comment(review.number, note)
    elif existing.text.strip() != note_text(note, SUMMARY, html_comments=api.hides_html_comments).strip():
        comment = api.edit_comment(review.number, existing.id, note)
    else:
        comment = existing
    save_replies(run.saved.store, replace(replies, summary=comment.id))


def _note(run: FollowUpRun, thread: Thread, change: Change, secret: str) -> Note:
    """Return the answer to a thread: what the agent says about each of its comments."""
    [review] = run.reviews
    report = run.saved.finished.report if run.saved.finished else None
    by_number = {reply.comment: reply for reply in (report.replies if report else ())}
    numbers = [number for number, comment in enumerate(review.comments, 1) if comment.thread == thread.id]
    answers = [by_number[number] for number in numbers if number in by_number]
    words = "\n\n".join(dict.fromkeys(redact(each.text) for each in answers))
    is_changed = bool(change.commit) and any(each.is_changed for each in answers)
    footer = f"In commit {change.commit}." if is_changed else ""
    if not words:
        where = f", but has pushed commit {change.commit}" if change.commit else ""
        footer = f"The agent has not answered this comment{where}. Its summary is in another comment."
    return Note(words, _run_id(run), secret, footer)


def _footer(run: FollowUpRun, change: Change) -> str:
    if not change.commit:
        return "No file was changed, and nothing was pushed."
    status, repairs = status_of(run, change), run.saved.finished.round if run.saved.finished else 0
    verified = f", {result_text(status, repairs)}" if status and status is not Status.NOT_ASKED else ""
    return f"Pushed commit {change.commit}{verified}."


def _run_id(run: FollowUpRun) -> str:
    return run.saved.store.flow_run_id
