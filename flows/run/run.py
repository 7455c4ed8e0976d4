"""What is known of a run from its start. None of it changes; what the run does is in its saved state."""

from dataclasses import dataclass
from datetime import UTC, datetime

from prefect import runtime

from flows.agent.session import Agent
from flows.outcome.timing import StepTimes
from flows.parameters.implement import ImplementParameters, default_branch_name
from flows.sandbox.workspace import Workspace
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
    """What the report should warn of, added by the steps."""


@dataclass(frozen=True)
class ImplementRun(Run):
    """An open run of `implement`, which has an agent."""

    agent: Agent


def scheduled_start() -> datetime:
    """Return when this run was to start: the same for each of its attempts."""
    return runtime.flow_run.scheduled_start_time or datetime.now(UTC)


def default_branch() -> str:
    """Return the branch of a run that names none."""
    return default_branch_name(scheduled_start(), str(runtime.flow_run.id))


def flow_run_name() -> str:
    """Name a run by its repository and branch; its parameters are not checked yet."""
    parameters = runtime.flow_run.parameters
    repository = str(parameters.get("repo_url", "")).rstrip("/").rpartition("/")[2].removesuffix(".git")
    return one_line(f"{repository} @ {parameters.get('branch_name') or default_branch()}")
