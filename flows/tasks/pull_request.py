"""Defines the step `pull_request`, which opens the pull request of a pushed branch, or updates the one that exists.

A repetition is safe: the forge is asked first. Whatever goes wrong, the branch is pushed, and the run completes.
"""

import time
from collections.abc import Sequence
from typing import Final

from prefect import get_run_logger, runtime

from flows.errors import ForgeUnavailable, PullRequestRefused, RunError, Superseded
from flows.forges.api.base import ForgeApi, PullRequest, Refusal, State
from flows.forges.pull_request import RunRequest, add_wishes, lacks_room, open_or_update
from flows.outcome.pull_request import PullRequestResult
from flows.repository.collect import Change
from flows.repository.credentials import GitCredentials
from flows.repository.forge_apis import open_forge_api
from flows.run.branch_records import record_push
from flows.run.commit_status import commit_status
from flows.run.lease import check_lease
from flows.run.pull_request import base_branch, request_for, without_draft
from flows.run.rounds import status_of
from flows.run.run import Run
from flows.state.pull_request_record import PullRequestRecord
from flows.tasks.clone import remote
from flows.tasks.secret import newest_credentials
from flows.tasks.task import RETRIES, step
from flows.verification.results import Status

_LONGEST_WAIT_SECONDS: Final = 120
"""A forge that asks for a longer pause gets no pull request in this run, which would hold its machine."""
_TAKES_NO_DRAFT: Final = "takes_no_draft"
"""What the record has if the pull request should be a draft and cannot be one, so that its title is not changed twice
by each attempt."""


def propose(run: Run, credentials: GitCredentials, change: Change) -> None:
    """Open or update the pull request if the run asks for one. An error is part of the run's result, and ends nothing.

    Raises:
        Superseded: A later attempt of the run has taken over.
    """
    if not change.commit or not run.request.pull_request.is_wanted:
        return
    try:
        result = pull_request(run, credentials, change)
    except Superseded:
        raise
    except RunError as error:
        result = result_of_failure(run, change, error)
        get_run_logger().warning(
            "the branch is pushed, but its pull request is not as the run asked for: %s",
            result.fault or result.refusals[0],
        )
    run.pull_requests.append(result)
    run.warnings.extend(f"the pull request is not as the run asked for: {refusal}" for refusal in result.refusals)


def result_of_failure(run: Run, change: Change, error: RunError) -> PullRequestResult:
    """Return that there is no pull request, or that the one which the run has opened is not brought up to date."""
    fault = f"{type(error).__name__}: {error.sentences}"
    record = PullRequestRecord(run.saved.store, get_run_logger()).load() or {}
    base = run.request.pull_request.pull_request_base
    if record.get("head") != change.checkout.branch or record.get("base") != (base or record.get("base")):
        return PullRequestResult(fault=fault)
    return PullRequestResult(record["url"], record["number"], refusals=(f"it is not brought up to date: {fault}",))


@step("pull_request")
def pull_request(run: Run, credentials: GitCredentials, change: Change) -> PullRequestResult:
    """Open the pull request, or update it, and set the status of the commit.

    Raises:
        InvalidPullRequest: There is no branch to merge into.
        ForgeAuthFailed, ForgePermissionMissing, ForgeUnavailable, PullRequestRefused: See `ForgeApi`.
    """
    try:
        return _pull_request(run, credentials, change)
    except ForgeUnavailable as error:
        seconds = error.retry_after_seconds
        if seconds <= _LONGEST_WAIT_SECONDS and runtime.task_run.run_count <= RETRIES:
            time.sleep(seconds)  # before the pause that each retry has
        raise


def _pull_request(run: Run, credentials: GitCredentials, change: Change) -> PullRequestResult:
    logger = get_run_logger()
    credentials = newest_credentials(run, credentials)
    record = PullRequestRecord(run.saved.store, logger)
    with open_forge_api(run.request, credentials) as api, commit_status(api, run, change):
        refs = remote(run, credentials).refs()
        base = base_branch(run, change.checkout, refs)
        check_lease(run.saved.store)
        run_request = request_for(run, change, base, refs)
        result = _open(api, record, run_request, status_of(run, change))
        refusals = _refusals(api, record, run, result, run_request)
    logger.info("pull request %s", result.url)
    record_push(run, change.checkout.branch, change.commit, result.number)
    return PullRequestResult.of(result, tuple(refusals))


def _open(api: ForgeApi, record: PullRequestRecord, run_request: RunRequest, status: Status | None) -> PullRequest:
    """Return the pull request. If it cannot be a draft although it should be one, its title says so."""
    is_draft = run_request.draft.is_draft
    takes_no_draft = is_draft and bool((record.load() or {}).get(_TAKES_NO_DRAFT))
    result = open_or_update(api, record, without_draft(run_request, status) if takes_no_draft else run_request)
    if is_draft and not takes_no_draft and (result is Refusal.NO_DRAFTS or _is_ready(result)):
        result = open_or_update(api, record, without_draft(run_request, status))
        takes_no_draft = True
    if isinstance(result, Refusal):
        raise PullRequestRefused(f"the forge opened no pull request: {result}")
    if takes_no_draft:
        record.save({**(record.load() or {}), _TAKES_NO_DRAFT: True})
    return result


def _is_ready(result: PullRequest | Refusal) -> bool:
    return isinstance(result, PullRequest) and result.state is State.OPEN and not result.is_draft


def _refusals(
    api: ForgeApi, record: PullRequestRecord, run: Run, result: PullRequest, run_request: RunRequest
) -> Sequence[str]:
    """Return what the forge did not do of what the run asked for, after asking for labels and reviews."""
    if result.state is not State.OPEN:
        return [f"a person has {result.state} it, so it was left as it is"]
    parameters = run.request.pull_request
    refusals = add_wishes(api, record, result.number, parameters.pull_request_labels, parameters.reviewers)
    if lacks_room(api, run_request, result):
        refusals = ["its text is about an earlier commit, because the forge accepts no longer text", *refusals]
    if run_request.draft.is_draft and not result.is_draft:
        return ["it is ready for review and no draft", *refusals]
    return refusals
