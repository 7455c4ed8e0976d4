"""Defines the facts about a run that are known at its start. The run's progress is in its saved state."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect import get_client, runtime
from pydantic import SecretStr

from flows.agent.session import Agent
from flows.forges.pages import shown_address
from flows.outcome.pull_request import PullRequestResult
from flows.outcome.timing import StepTimes
from flows.parameters.follow_up import FollowUpParameters
from flows.parameters.implement import ImplementParameters, default_branch_name
from flows.repository.collect import Change
from flows.sandbox.workspace import Workspace
from flows.state.branch_lock import BranchLock
from flows.state.branch_record import BranchRecord
from flows.state.review_record import Review
from flows.state.saved_run import SavedRun
from flows.text_safety import one_line


@dataclass(frozen=True)
class Run:
    """An open run of either flow: its checked parameters, its directories and its saved state."""

    request: ImplementParameters
    workspace: Workspace
    saved: SavedRun
    steps: StepTimes
    """The times of the steps so far."""
    warnings: list[str]
    """The warnings for the report. The steps add them."""
    pull_requests: list[PullRequestResult] = field(default_factory=list, kw_only=True)
    """What became of the pull request, at most one entry. The step `pull_request` adds it."""
    feedback: list[str] = field(default_factory=list, kw_only=True)
    """All that the operator has said to the agent since the agent's run began. It is read when the run is opened."""


@dataclass(frozen=True)
class ImplementRun(Run):
    """An open run of `implement`, which has an agent."""

    agent: Agent
    setup_cache: list[str] = field(default_factory=list)
    """What became of the setup's cache, for the report. The step `setup` adds it."""
    repair_faults: list[str] = field(default_factory=list)
    """Why a repair was ended before its end, for the report."""


@dataclass(frozen=True, kw_only=True)
class FollowUpRun(ImplementRun):
    """An open run of `follow_up`, which continues the branch of an earlier run."""

    parameters: FollowUpParameters
    request_values: Mapping[str, Any]
    """The unchecked values of `request`, which are saved for later runs."""
    earlier: SavedRun
    """The saved state of the run that is continued. It is only read."""
    record: BranchRecord
    """What is recorded of that run's push."""
    lock: BranchLock
    """Keeps other follow-ups from the branch."""
    reviews: list[Review] = field(default_factory=list)
    """What the run is asked for, at most one entry. The step `review` adds it."""
    answered: list[str] = field(default_factory=list)
    """The threads that are done with: they have an answer, or are missing. The step `reply` adds them."""
    missing: list[str] = field(default_factory=list)
    """Those that were not found any more when they should be answered."""

    @property
    def answers(self) -> int:
        """How many threads have an answer."""
        return len(set(self.answered) - set(self.missing))


@dataclass(frozen=True)
class DeliverRun(Run):
    """An open run of `deliver`, with the saved state of the run that made the change."""

    apply_to_latest: bool
    """Whether the change is applied to the newest commit, instead of the commit that the work started from."""
    verifies: bool = False
    """Whether the change is verified again before the push."""
    variables: Mapping[str, SecretStr] = field(default_factory=dict)
    """The variables of the block's `agent_environment`, for the commands of the verification."""
    secrets: Mapping[str, SecretStr] = field(default_factory=dict)
    """All secrets that these commands get from the block, by what they are called."""
    applied: list[Change] = field(default_factory=list)
    """The change on the newest commit, for the report. The step `apply` adds it."""


def scheduled_start() -> datetime:
    """Return the time for which this run was scheduled, which is the same for each of its attempts."""
    return runtime.flow_run.scheduled_start_time or datetime.now(UTC)


def requested_at() -> str:
    """Return when the run was asked for, in ISO format: its creation, or the time for which a schedule has it."""
    with get_client(sync_client=True) as prefect:
        flow_run = prefect.read_flow_run(UUID(str(runtime.flow_run.id)))
    is_by_person = flow_run.created and not flow_run.auto_scheduled
    moment = flow_run.created if flow_run.created and is_by_person else scheduled_start()
    return moment.isoformat()


def default_branch() -> str:
    """Return the name of the branch for a run without the parameter `branch_name`."""
    return default_branch_name(scheduled_start(), str(runtime.flow_run.id))


def flow_run_name() -> str:
    """Return the name of a flow run, made of its repository and branch.

    Prefect needs the name before the parameters are checked.
    """
    parameters = runtime.flow_run.parameters
    repository = str(parameters.get("repo_url", "")).rstrip("/").rpartition("/")[2].removesuffix(".git")
    return one_line(f"{repository} @ {parameters.get('branch_name') or default_branch()}")


def follow_up_name() -> str:
    """Return the name of a flow run of follow_up, made of what it continues."""
    parameters = runtime.flow_run.parameters
    texts = (parameters.get("pull_request_url"), parameters.get("flow_run_id"))
    return " ".join(["follow up", *(shown_address(str(text)) for text in texts if text)])
