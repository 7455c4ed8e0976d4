"""Finds the run that a follow-up continues, in this program's own record, and sets the follow-up up."""

import json
import os
from typing import Final
from uuid import uuid4

from prefect import get_run_logger, runtime

from flows.credential_values import check_environment
from flows.errors import InvalidFollowUp, NoSavedRun
from flows.forges.pages import PageKind, parse_page
from flows.outcome.timing import StepTimes
from flows.parameters.follow_up import FollowUpParameters
from flows.parameters.implement import ImplementParameters
from flows.parameters.signature import RawParameters
from flows.run.run import FollowUpRun
from flows.run.setup import run_store, set_up_agent
from flows.sandbox.workspace import Workspace
from flows.state.branch_lock import BranchLock
from flows.state.branch_record import BranchRecord, BranchRecords
from flows.state.files import StateFile
from flows.state.pull_request_record import PullRequestRecord
from flows.state.saved_run import SavedRun

_ADVICE: Final = (
    "check the address, and check that this process uses the run store of the run that opened it; if a person opened "
    "it for a run's branch, first run deliver with that run's id and pull_request.pull_request=ready, which takes it "
    "over; to work on a branch of somebody else, or of a repository that has another address since, start implement "
    "with its repo_url and branch_name"
)


def set_up_follow_up(raw: RawParameters[FollowUpParameters], workspace: Workspace, steps: StepTimes) -> FollowUpRun:
    """Return the run, after all checks that need no other server; raise a `RunError` for the first problem."""
    check_environment(os.environ)
    parameters = raw.checked()
    record = find_record(parameters)
    earlier = _saved_run(record.run_id)
    assert earlier.plan is not None  # noqa: S101 (else `_saved_run` has raised an error)
    saved_request = json.loads(earlier.store.read(StateFile.REQUEST) or b"{}")
    values = parameters.over(saved_request, record.repo_url, record.branch, has_number=bool(record.number))
    if not (values.get("instructions") or "").strip() and not values.get("instructions_s3_uri"):
        values["instructions"] = "saved"
    request = ImplementParameters(**values)
    saved_settings = saved_request.get("claude_settings") or {}
    if saved_settings.get("env") != request.claude_settings.get("env") and not raw.raw.get("claude_settings"):
        get_run_logger().warning(
            "the values of the variables in claude_settings.env of the run %s are not saved, so this run does not have "
            "them: set claude_settings again",
            record.run_id,
        )
    agent = set_up_agent(request, workspace)
    store = run_store(str(runtime.flow_run.id), attempt=uuid4().hex)
    folder = BranchRecords(store.files, record.repo_url).folder(record.branch)
    return FollowUpRun(
        request,
        workspace,
        SavedRun(store),
        steps,
        [],
        agent,
        parameters=parameters,
        request_values=values,
        earlier=earlier,
        record=record,
        lock=BranchLock(folder, record.branch, store.flow_run_id, store.attempt),
    )


def find_record(parameters: FollowUpParameters) -> BranchRecord:
    """Return the record of the branch that the follow-up continues."""
    if parameters.flow_run_id:
        return _record_of_run(parameters.flow_run_id)
    page = parse_page(parameters.pull_request_url, PageKind.PULL_REQUEST, forge=parameters.forge)
    record = BranchRecords(run_store("").files, page.repository).of_pull_request(page.number)
    if record is None:
        raise NoSavedRun(f"no run here has opened pull request {page.number} of {page.repository}: {_ADVICE}")
    return record


def _record_of_run(flow_run_id: str) -> BranchRecord:
    """Return the record of the branch that a run has pushed. A later run may have pushed it since."""
    earlier = _saved_run(flow_run_id)
    assert earlier.plan is not None  # noqa: S101 (else `_saved_run` has raised an error)
    repo_url, branch = earlier.plan.repo_url, earlier.plan.checkout.branch
    if record := BranchRecords(run_store("").files, repo_url).of_branch(branch):
        if record.run_id != flow_run_id:
            get_run_logger().info("the run %s was the last to push %s, and is continued", record.run_id, branch)
        return record
    if earlier.finished is None or not earlier.finished.commit:
        raise InvalidFollowUp(
            f"the run {flow_run_id} has pushed nothing, so there is nothing to follow up: python -m deployments runs "
            "continue resumes a run that has not ended its work"
        )
    number = (PullRequestRecord(earlier.store, get_run_logger()).load() or {}).get("number", 0)
    return BranchRecord(repo_url, branch, flow_run_id, earlier.finished.commit, number)


def _saved_run(flow_run_id: str) -> SavedRun:
    saved = SavedRun(run_store(flow_run_id))
    saved.load(get_run_logger())
    if saved.plan is None:
        raise NoSavedRun(
            f"the run {flow_run_id} has no saved state here that this version can read: check the id, and check that "
            "this process uses the run store of that run; to continue its branch without that, start implement with "
            "its branch_name"
        )
    return saved
