"""An open run of follow_up with finished work, for the steps that read and answer its review."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from prefect.filesystems import LocalFileSystem

from flows.agent.session import Agent
from flows.outcome.timing import StepTimes
from flows.parameters.claude_code import ClaudeCodeOptions
from flows.parameters.follow_up import FollowUpParameters
from flows.parameters.implement import ImplementParameters
from flows.repository.clone import Checkout
from flows.run.run import FollowUpRun
from flows.sandbox.workspace import Workspace
from flows.state.agent_report import ReviewReply
from flows.state.branch_lock import BranchLock
from flows.state.branch_record import BranchRecord
from flows.state.records import FinishedWork, Plan
from flows.state.review_record import HeardComment, Review
from flows.state.saved_run import SavedRun
from flows.state.store import RunStore
from tests.support.finished_run import REPORT
from tests.support.forges.fixtures import parameters_for
from tests.support.forges.stand_in import ForgeStandIn

RUN: Final = "22222222-2222-4333-8444-555555555555"
EARLIER: Final = "11111111-2222-4333-8444-555555555555"
HEAD: Final = "a" * 40
REQUESTED_AT: Final = "2026-11-28T11:00:00+00:00"


def open_follow_up(
    directories: Workspace,
    store: Path,
    forge: ForgeStandIn,
    replies: tuple[ReviewReply, ...] = (),
    review: Review | None = None,
    **parameters: Any,  # noqa: ANN401 (the flow's parameters)
) -> FollowUpRun:
    """Return a run on the branch `work` of a stand-in, whose pull request has the number 1."""
    values = {**parameters_for(forge), "instructions": "Say hello."}
    request = ImplementParameters(**values)
    files = LocalFileSystem(basepath=str(store))
    saved, earlier = SavedRun(RunStore(files, RUN)), SavedRun(RunStore(files, EARLIER))
    checkout = Checkout("work", "work", HEAD)
    no_instructions: Any = None
    saved.plan = Plan(request.repo_url.url, checkout, no_instructions, datetime.now(UTC))
    saved.finished = FinishedWork("c", replace(REPORT, replies=replies))
    provider: Any = None
    return FollowUpRun(
        request,
        directories,
        saved,
        StepTimes(),
        [],
        Agent(ClaudeCodeOptions(), provider),
        parameters=FollowUpParameters(flow_run_id=EARLIER, **parameters),
        request_values=values,
        earlier=earlier,
        record=BranchRecord(request.repo_url.url, "work", EARLIER, HEAD, 1),
        lock=BranchLock(RunStore(files, "a-branch"), "work", RUN, "an-attempt"),
        reviews=[review] if review else [],
    )


def review_of(*comments: tuple[str, str]) -> Review:
    """Return a review with heard comments, each as the id of its thread and its own id."""
    heard = tuple(HeardComment(thread, comment, REQUESTED_AT) for thread, comment in comments)
    return Review("work", REQUESTED_AT, 1, base="main", comments=heard)
