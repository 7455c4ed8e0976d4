"""Defines the step `review`: it reads what reviewers have said since the last run, before anything is spent."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from prefect import get_run_logger

from flows.errors import BaseRefNotFound, InvalidFollowUp, PullRequestRefused, RepoNotFound, RunError
from flows.forges.api.base import PullRequest, State
from flows.forges.reviews.base import ReviewApi
from flows.forges.reviews.conversation import Author, FailedCheck, Thread
from flows.forges.reviews.replies import own_comment
from flows.forges.reviews.request import review_request, unheard_lines
from flows.forges.reviews.selection import Rules, Selection, select_comments
from flows.repository.credentials import GitCredentials
from flows.repository.forge_apis import open_review_api
from flows.repository.remote_refs import RemoteRefs
from flows.run.lease import check_lease
from flows.run.run import FollowUpRun, requested_at
from flows.state.comment_secret import saved_comment_secret
from flows.state.files import StateFile
from flows.state.review_record import HeardComment, Review, load_review
from flows.state.store import RunStore
from flows.tasks.clone import remote
from flows.tasks.task import step


@step("review")
def read_review(run: FollowUpRun, credentials: GitCredentials) -> Review:
    """Return what the run is asked for: what an earlier attempt has read, or what the forge has now.

    Raises:
        BaseRefNotFound: The remote does not have the branch any more.
        InvalidFollowUp: The pull request is not open, or is not for a branch of the repository; or there is none, and
            nothing else is asked for.
        ForgeAuthFailed, ForgePermissionMissing, ForgeUnavailable, PullRequestRefused: See `ForgeApi`.
    """
    review = load_review(run.saved.store)
    if review is None:
        with _advice_for_another_address(run):
            review = replace(_read(run, credentials), earlier_summary=_earlier_summary(run))
        if not asks_for_something(run, review) and not review.number:
            raise InvalidFollowUp(
                f"no run has opened a pull request for the branch {review.branch!r}, or it is closed, so there is no "
                "review: say in instructions what to do, or run deliver with the run's id and "
                "pull_request.pull_request=ready, which opens one, or takes over that of a person"
            )
        if asks_for_something(run, review):
            check_lease(run.saved.store)
            run.saved.store.save_sealed(StateFile.REVIEW, review.pack())
    elif run.saved.finished is None and all(is_answered(run, review, thread) for thread in review.threads):
        review = replace(review, comments=(), request="")
    run.reviews[:] = [review]
    run.warnings.extend(review.omissions)
    count = len(review.comments)
    get_run_logger().info("comments of reviewers: %d; not heard: %d", count, len(review.unheard))
    return review


@contextmanager
def _advice_for_another_address(run: FollowUpRun) -> Iterator[None]:
    """Say what to do if the repository has another address since: a follow-up has no parameter for it."""
    try:
        yield
    except (PullRequestRefused, RepoNotFound) as error:
        if "set repo_url" not in str(error):
            raise
        raise type(error)(
            f"{error}. A follow-up works at the address of the run that it continues: to go on at the new one, start "
            f"implement with repo_url, with branch_name={run.request.branch_name}, and with the request as instructions"
        ) from None


def is_answered(run: FollowUpRun, review: Review, thread_id: str) -> bool:
    """Whether a run has answered all comments of a thread, while this run was lost."""
    comments = [comment for comment in review.comments if comment.thread == thread_id]
    return all(run.record.answered.get(comment.id) == comment.edited for comment in comments)


def asks_for_something(run: FollowUpRun, review: Review) -> bool:
    """Whether the agent has something to do."""
    parameters = run.parameters
    return bool(review.comments or parameters.instructions.strip() or parameters.merge_base or run.feedback)


def _read(run: FollowUpRun, credentials: GitCredentials) -> Review:
    branch, moment = run.request.branch_name, requested_at()
    refs = remote(run, credentials).refs()
    head = refs.branches.get(branch)
    if head is None:
        raise BaseRefNotFound(
            f"the branch {branch!r} is not on the remote: it was not pushed, or somebody has deleted it. Deliver the "
            "saved change first, or start a new run of implement"
        )
    if not run.request.pull_request.is_wanted:
        return Review(branch, moment)
    with open_review_api(run.request, credentials) as api:
        request = _pull_request(run, api, refs)
        if request is None:
            return Review(branch, moment)
        conversation = api.threads(request.number)
        rules = _rules(run, api, moment)
        secret = _previous_secret(run)
        threads = [_without_answered(run, thread, rules.account, secret) for thread in conversation.threads]
        selection = select_comments([each for each in threads if each.comments], rules, api.may_write)
        checks, omission = _failed_checks(api, head) if selection.heard else ((), "")
        omissions = tuple(filter(None, (conversation.omission, omission)))
        base = request.base if request.base in refs.branches else ""
        review = Review(branch, moment, request.number, request.url, base, omissions=omissions)
        return _with_comments(review, selection, checks)


def _pull_request(run: FollowUpRun, api: ReviewApi, refs: RemoteRefs) -> PullRequest | None:
    """Return the branch's open pull request; None if it has none.

    Raises:
        InvalidFollowUp: The pull request that the run was asked about is no longer that of the branch.
    """
    branch = run.request.branch_name
    if not run.record.number:
        names = (run.request.pull_request.pull_request_base, run.request.base_branch, refs.default_branch)
        base = next((name for name in names if name in refs.branches), "")
        own = api.find(branch, base) if base else []
        return next((each for each in own if each.state is State.OPEN), None)
    request = api.get(run.record.number)
    advice = "start a new run of implement"
    if request.state is not State.OPEN:
        reopen = "reopen it, or " if request.state is State.CLOSED else ""
        raise InvalidFollowUp(f"pull request {request.number} is {request.state}: {reopen}{advice}")
    numbers = {each.number for each in api.find(request.head, request.base)}  # without those of forks
    if request.head != branch or request.number not in numbers:
        raise InvalidFollowUp(
            f"pull request {request.number} is not for the branch {branch!r} of {run.request.repo_url}: {advice}"
        )
    return request


def _rules(run: FollowUpRun, api: ReviewApi, moment: str) -> Rules:
    last = run.record.requested_at
    return Rules(
        datetime.fromisoformat(moment),
        datetime.fromisoformat(last) if last else None,
        api.own_account(),
        frozenset(run.parameters.reviewers_heard),
        frozenset(run.record.answered),
    )


def _previous_secret(run: FollowUpRun) -> str:
    """Return the secret of the last follow-up's comments; empty if it has written none."""
    previous = run.lock.previous
    return saved_comment_secret(RunStore(run.saved.store.files, previous)) if previous else ""


def _without_answered(run: FollowUpRun, thread: Thread, account: Author | None, secret: str) -> Thread:
    """Return the thread without the comments that an earlier run has answered.

    The last follow-up may have lost its machine between an answer and the record of it. `secret` is that of its
    comments.
    """
    answered = run.record.answered
    last = own_comment([thread], run.lock.previous, thread, account, secret) if secret else None
    comments = (each for each in thread.comments if answered.get(each.id) != each.edited.isoformat())
    rest = tuple(each for each in comments if last is None or each.edited > last.created)
    return Thread(thread.id, rest, thread.path, thread.line, thread.is_resolved, thread.is_outdated)


def _failed_checks(api: ReviewApi, head: str) -> tuple[Sequence[FailedCheck], str]:
    """Return the failed checks of the branch. Without them the review is still worth an answer."""
    try:
        failed = api.failing_checks(head)
    except RunError as error:
        return (), f"the failed checks could not be read: {error}"
    return failed.checks, failed.omission


def _with_comments(review: Review, selection: Selection, checks: Sequence[FailedCheck]) -> Review:
    heard = [HeardComment(each.thread.id, each.comment.id, each.comment.edited.isoformat()) for each in selection.heard]
    return replace(
        review,
        request=review_request(selection.heard, checks),
        comments=tuple(heard),
        unheard=tuple(unheard_lines(selection.unheard)),
    )


def _earlier_summary(run: FollowUpRun) -> str:
    """Return what the agent said of the change before any review."""
    if earlier := load_review(run.earlier.store):
        return earlier.earlier_summary
    finished = run.earlier.finished
    return finished.report.summary if finished and finished.report else ""
