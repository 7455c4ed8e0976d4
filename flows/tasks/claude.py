"""claude: the paid step. What the agent did is taken and kept first, and judged after that."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect import get_run_logger

from flows.agent.checkpoints import Checkpoints, write_session
from flows.agent.outcome import AgentReport, AgentRun, judge
from flows.agent.session import Agent, work
from flows.agent.transcript import portions
from flows.checks.leaks import check_credentials
from flows.errors import (
    DISK_FULL,
    AgentCrashed,
    AgentDenied,
    AgentFailed,
    AgentRepoInvalid,
    DiskFull,
    GitFailed,
    ModelUnavailable,
    RunError,
    StoreUnavailable,
    UnexpectedSubmodule,
)
from flows.redaction import SECRETS
from flows.repository import snapshot
from flows.repository.collect import Change, CommitIdentity, bundle, collect, take_bundle
from flows.run.lease import check_execution
from flows.sandbox.workspace import Workspace
from flows.state.records import Finished, Keepings, Plan, keep_finished, keep_usage
from flows.state.store import RunStore
from flows.tasks.task import step

if TYPE_CHECKING:
    from flows.model.meter import Meter


@dataclass(frozen=True)
class Work:
    """What the agent did: the change, what it says of it, and where the change is kept."""

    change: Change
    report: AgentReport
    kept: str


@step("claude")
def run_claude(agent: Agent, workspace: Workspace, plan: Plan, identity: CommitIdentity, store: RunStore) -> Work:
    """Let Claude Code work; return the change, which is kept by then."""
    checkpoints = Checkpoints(workspace, store, plan, agent, agent.options.limits.checkpoint_seconds)
    try:
        with checkpoints:
            run = work(agent, workspace, plan, store.flow_run_id)
    except BaseException:
        # By a signal, a cancellation, a limit, a full disk. What was done is paid for, and another machine may go on.
        _keep_interrupted(workspace, checkpoints, identity)
        raise
    check_execution(store)
    is_full = workspace.disk_is_full
    workspace.release_reserve()
    kept, bundled = "", b""
    try:
        change = collect(workspace, plan.checkout, identity)
        bundled = bundle(workspace.clean_git, change)
        kept = _keep(workspace, store, bundled, agent.meter)
        report = _judge(run, agent, workspace, change, kept)
        if is_full:
            raise DiskFull(f"{DISK_FULL}; what the agent says that it did may be missing")
    except RunError as error:
        checkpoints.write()  # for whoever tries this run again, later and elsewhere
        raise _with_what_is_kept(_disk_full(error) if is_full else error, kept) from None
    _keep_finished(store, Finished(change.commit, report, bundled))
    return Work(change, report, kept)


def take_up(workspace: Workspace, agent: Agent, kept: Keepings) -> None:
    """Put the work of an earlier execution of the run back where the agent goes on with it."""
    assert kept.plan is not None  # noqa: S101 (without one there is no checkpoint)
    checkpoint, base = kept.checkpoint, kept.plan.checkout.base_commit
    if checkpoint is None:
        return
    agent.checkpoint, agent.session_id = checkpoint, checkpoint.session_id
    agent.meter.go_on_from(checkpoint.spent)
    if checkpoint.bundle:
        snapshot.restore(workspace, checkpoint.bundle, checkpoint.commit, base)
    if checkpoint.session:
        write_session(workspace, checkpoint.session_id, checkpoint.session)
    get_run_logger().info("an earlier execution had spent %s: the work goes on from there", agent.meter)


def finished_work(workspace: Workspace, plan: Plan, finished: Finished, store: RunStore) -> Work:
    """Return the work that an earlier execution of the run finished: no agent is started for it again."""
    get_run_logger().info("the agent's work was done and kept by an earlier execution: nothing is spent again")
    if not finished.commit:
        return Work(Change("", plan.checkout), finished.report, "")
    change = take_bundle(workspace.clean_git, plan.checkout, finished.bundle)
    return Work(change, finished.report, store.path("change.bundle"))


def _judge(run: AgentRun, agent: Agent, workspace: Workspace, change: Change, kept: str) -> AgentReport:
    """Return the report of work that may be pushed; raise the named error of what may not."""
    for portion in portions(workspace.transcript):
        check_credentials("the transcript", portion.decode("latin-1"))
    report = judge(run, agent.options)
    if change.fault:
        raise _fault(change, kept)
    if report.permission_denials and not change.commit:
        denied = ", ".join(sorted(set(report.permission_denials)))
        raise AgentDenied(
            f"the agent changed nothing, and was denied {denied}: allow it in claude_settings.permissions"
        )
    return report


def _disk_full(error: RunError) -> RunError:
    """Return the cause of an error where it can only be the full disk."""
    if isinstance(error, AgentCrashed | AgentFailed | AgentRepoInvalid | GitFailed | ModelUnavailable):
        return DiskFull(f"{DISK_FULL} ({error})")
    return error


def _with_what_is_kept(error: RunError, kept: str) -> RunError:
    return type(error)(f"{error}; the work so far is kept as {kept}") if kept and kept not in str(error) else error


def _keep_interrupted(workspace: Workspace, checkpoints: Checkpoints, identity: CommitIdentity) -> None:
    """Keep what there is, soon, and whatever goes wrong with that: the interruption is what counts."""
    workspace.agent.end_processes()
    workspace.release_reserve()
    checkpoints.write()
    try:
        change = collect(workspace, checkpoints.plan.checkout, identity)
        bundled = bundle(workspace.clean_git, change)
        if kept := _keep(workspace, checkpoints.store.in_haste, bundled, checkpoints.agent.meter):
            get_run_logger().info("the work so far is kept as %s", kept)
    except (RunError, OSError) as error:
        get_run_logger().warning("the work so far is kept in the last checkpoint at most: %s", error)


def _keep(workspace: Workspace, store: RunStore, bundled: bytes, meter: "Meter") -> str:
    """Store the cost, the redacted transcript, and the change as it is; return where that is, or "" if nowhere."""
    try:
        keep_usage(store, meter.spending)
        if workspace.transcript.exists():
            store.keep_transcript(SECRETS.redact_bytes(portion) for portion in portions(workspace.transcript))
        return store.keep_change(bundled) if bundled else ""
    except StoreUnavailable as error:
        get_run_logger().error("%s: the change is on this machine only", error)
        return ""


def _keep_finished(store: RunStore, finished: Finished) -> None:
    try:
        keep_finished(store, finished)
    except StoreUnavailable as error:
        # The work is here: to push it is the best that can be done for it.
        get_run_logger().error("%s: the push goes on without", error)


def _fault(change: Change, kept: str) -> RunError:
    """Return the error of a work tree that is no longer a repository as we gave it."""
    what = f"its files as they are, less what git could not take, are kept as {kept}" if kept else "nothing is changed"
    error = UnexpectedSubmodule if "does not have a commit checked out" in change.fault else AgentRepoInvalid
    return error(f"the agent left a work tree from which no change can be taken: {change.fault}; {what}")
