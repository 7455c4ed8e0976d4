"""Defines the step `claude`: it runs the agent, which costs money, then collects, saves and judges the agent's work."""

from dataclasses import replace
from functools import partial
from typing import Final

from prefect import get_run_logger

from flows.agent.checkpoints import Checkpoints
from flows.agent.final_answer import check_status, with_last_question
from flows.agent.no_change import check_no_change, denial_advice, paths_in_work_tree
from flows.agent.outcome import AgentRun, judge
from flows.agent.repair import Repair
from flows.agent.transcript import read_chunks
from flows.checks.leaks import Base, check_credentials
from flows.errors import (
    DISK_FULL,
    AgentCrashed,
    AgentFailed,
    AgentRepoInvalid,
    CommandFailed,
    DiskFull,
    GitFailed,
    ModelUnavailable,
    NoSavedChange,
    RunError,
    WorkLeftAside,
)
from flows.instructions.files import Instructions
from flows.outcome.verification import causes
from flows.redaction import SECRETS
from flows.reporting.progress import show_progress
from flows.repository import snapshot
from flows.repository.clone import Checkout
from flows.repository.collect import Change, CommitIdentity, bundle, collect, restore_change
from flows.repository.commit_message import with_run_trailer
from flows.repository.credentials import GitCredentials
from flows.run.lease import check_lease
from flows.run.preload import preload_for_end
from flows.run.rounds import last_round, verify_commands
from flows.run.run import ImplementRun, Run
from flows.run.start import start_work
from flows.state.agent_report import AgentReport
from flows.state.records import FinishedWork, Plan
from flows.tasks.task import step

SAVED_AS: Final = "; the work so far is saved as "
_MAY_BE_FULL_DISK: Final = (
    AgentCrashed,
    AgentFailed,
    AgentRepoInvalid,
    CommandFailed,
    GitFailed,
    ModelUnavailable,
)


@step("claude")
def run_claude(
    run: ImplementRun, credentials: GitCredentials, checkout: Checkout, instructions: Instructions
) -> Change:
    """Return the change: the one that an earlier attempt finished, or the one that Claude Code makes now."""
    plan = start_work(run, checkout, instructions)
    if finished := run.saved.finished:
        get_run_logger().info("an earlier attempt finished and saved the agent's work, so it is not done again")
        change = _import_change(run, plan, finished)
        _check_answer(run)
        return change
    if run.saved.checkpoint and not run.agent.session_id:
        _restore_checkpoint(run, plan)
    change = _run_agent(run, plan, _identity(run, credentials, plan), is_continued=run.saved.checkpoint is not None)
    _check_answer(run)
    return change


def _check_answer(run: ImplementRun) -> None:
    """Raise an error if the agent has asked for input, or is blocked."""
    report = run.saved.finished.report if run.saved.finished else None
    if report:
        check_status(report, run.saved.bundle_path)


def repair(run: ImplementRun, credentials: GitCredentials, change: Change) -> Change:
    """Let the agent repair the finished change in the same session, and return the repaired change.

    If the agent changes nothing, the change stays the same.
    """
    plan, agent, failed = run.saved.plan, run.agent, last_round(run)
    assert plan is not None  # noqa: S101 (it is saved before an agent starts)
    assert failed is not None  # noqa: S101 (else there is nothing to repair)
    request = Repair(failed.number + 1, failed.verification, failed.seconds)
    most = run.request.verification.max_repairs
    get_run_logger().info("repair %d of %d: %s", request.number, most, causes(failed.verification))
    is_continued = agent.round == request.number
    if not agent.session_id:
        checkpoint = run.saved.checkpoint
        worked_before_loss = checkpoint.worked_seconds if checkpoint and checkpoint.round == request.number else 0
        _restore_finished(run, plan, change, request.number)
        agent.worked_seconds, is_continued = max(failed.worked_seconds, worked_before_loss), True
    agent.round = request.number
    return _run_agent(run, plan, _identity(run, credentials, plan), request, is_continued=is_continued)


def _identity(run: ImplementRun, credentials: GitCredentials, plan: Plan) -> CommitIdentity:
    """Return what makes the commit the same for each attempt of the run."""
    message = with_run_trailer(run.request.commit_message, run.saved.store.flow_run_id)
    return CommitIdentity(credentials.email, plan.started_at, message)


def load_saved_change(run: Run) -> Change:
    """Return the change that another run saved, with the branch that this run pushes to.

    Raises:
        NoSavedChange: The other run has saved no change.
    """
    if run.saved.plan is None or run.saved.finished is None:
        raise NoSavedChange(f"the run {run.saved.store.flow_run_id} has saved no change")
    change = _import_change(run, run.saved.plan, run.saved.finished)
    if not change.commit:
        raise NoSavedChange(
            f"the run {run.saved.store.flow_run_id} has saved no change that could be delivered, only work that "
            "its agent left elsewhere, such as on branches: the run's report has the commands that fetch that work"
        )
    return replace(change, checkout=replace(change.checkout, branch=run.request.branch_name))


def _import_change(run: Run, plan: Plan, finished: FinishedWork) -> Change:
    """Load the saved change into the trusted repository, and return the change."""
    change = Change("", plan.checkout)
    if finished.bundle:
        change = restore_change(run.workspace.clean_git, plan.checkout, finished.bundle)
    run.warnings.extend(finished.notes)
    return replace(change, notes=finished.notes, left_aside=finished.left_aside)


def _restore_checkpoint(run: ImplementRun, plan: Plan) -> None:
    """Restore the work tree and the conversation of an earlier attempt, so that the agent resumes the work."""
    checkpoint = run.saved.checkpoint
    if checkpoint is None:
        return
    if checkpoint.bundle:
        snapshot.restore(run.workspace, checkpoint.bundle, checkpoint.commit, plan.checkout.base_commit)
    run.agent.resume(checkpoint)
    get_run_logger().info("the work of an earlier attempt resumes (spending so far: %s)", run.agent.meter)


def _restore_finished(run: ImplementRun, plan: Plan, change: Change, number: int) -> None:
    """Restore the work of a repair that an earlier attempt began, or else the finished work that it shall repair."""
    checkpoint = run.saved.checkpoint
    if checkpoint and checkpoint.round == number:
        _restore_checkpoint(run, plan)
        return
    snapshot.restore_commit(run.workspace, change.commit, plan.checkout.base_commit)
    if checkpoint:
        run.agent.resume(checkpoint)
    if run.saved.finished and run.saved.finished.report:
        run.agent.meter.spent_usd = max(run.agent.meter.spent_usd, run.saved.finished.report.cost_usd)


def _run_agent(
    run: ImplementRun, plan: Plan, identity: CommitIdentity, request: Repair | None = None, *, is_continued: bool
) -> Change:
    workspace, agent, logger = run.workspace, run.agent, get_run_logger()
    commands = verify_commands(run, plan.checkout)
    agent.verify_commands = commands.commands if commands else ()
    observer = partial(show_progress, workspace, agent.meter, agent.options.limits)
    interval = agent.options.limits.checkpoint_seconds
    checkpoints = Checkpoints(workspace, run.saved, plan, agent, interval, logger, request.number if request else 0)
    preload_for_end()
    try:
        with checkpoints:
            result = agent.work(
                workspace,
                plan,
                run.request.policy,
                run.saved.store.flow_run_id,
                observer,
                logger,
                is_continued=is_continued,
                repair=request,
            )
    except BaseException:
        # A signal, a cancellation, a limit or a full disk. The work is paid for, and another machine may resume it.
        _save_interrupted(run, checkpoints, identity)
        raise
    check_lease(run.saved.store)
    disk_is_full = workspace.disk_is_full
    workspace.release_reserve()
    try:
        change = _collect_and_judge(run, plan, identity, result, checkpoints.round, disk_is_full=disk_is_full)
    except RunError as error:
        checkpoints.write()  # for a later attempt of this run, on this machine or another
        _restore_change_before_repair(run, plan)
        raise _explain(error, run.saved.bundle_path, disk_is_full=disk_is_full) from None
    if change.commit and commands:
        checkpoints.round += 1
        checkpoints.write()  # for a repair in a later attempt
    return change


def _collect_and_judge(
    run: ImplementRun, plan: Plan, identity: CommitIdentity, result: AgentRun, number: int, *, disk_is_full: bool
) -> Change:
    change = collect(run.workspace, plan.checkout, identity, run.request.policy.leave_out)
    if number and not change.commit and not change.fault and (finished := run.saved.finished):
        get_run_logger().warning("the repair undid the whole change, so the change before the repair counts")
        earlier = restore_change(run.workspace.clean_git, plan.checkout, finished.bundle)
        change = replace(earlier, left_aside=change.left_aside)
    bundle_bytes = bundle(run.workspace.clean_git, change)
    _save_result(run, bundle_bytes)
    report = _judge(run, result, change)
    if number and run.saved.finished:
        report = report.after(run.saved.finished.report)
    if disk_is_full:
        raise DiskFull(f"{DISK_FULL}; part of the agent's report may be missing")
    for note in change.notes:
        if note not in run.warnings:  # an earlier round has said it
            get_run_logger().warning(note)
            run.warnings.append(note)
    finished = FinishedWork(change.commit, report, bundle_bytes, change.notes, change.left_aside, number)
    run.saved.save_finished(finished, get_run_logger())
    return change


def _save_result(run: ImplementRun, bundle_bytes: bytes, *, without_retries: bool = False) -> None:
    transcript = (SECRETS.redact_bytes(chunk) for chunk in read_chunks(run.workspace.transcript))
    run.saved.save_result(
        bundle_bytes, transcript, run.agent.meter.spending, get_run_logger(), without_retries=without_retries
    )


def _save_interrupted(run: ImplementRun, checkpoints: Checkpoints, identity: CommitIdentity) -> None:
    """Save the work of an interrupted agent, without retries.

    An error is only logged as a warning, because the run must report the interruption.
    """
    run.workspace.agent.end_processes()
    run.workspace.release_reserve()
    checkpoints.write()
    if finished := run.saved.finished:  # The change before an interrupted repair counts; the checkpoint has the rest.
        _save_result(run, finished.bundle, without_retries=True)
        return
    try:
        change = collect(run.workspace, checkpoints.plan.checkout, identity, run.request.policy.leave_out)
        _save_result(run, bundle(run.workspace.clean_git, change), without_retries=True)
        if path := run.saved.bundle_path:
            get_run_logger().info("the work so far is saved as %s", path)
    except (RunError, OSError) as error:
        get_run_logger().warning(
            "the change is not saved, so only the last checkpoint holds the work so far: %s", error
        )


def _restore_change_before_repair(run: ImplementRun, plan: Plan) -> None:
    """Let the finished change count again, which a repair has replaced that came to nothing."""
    if finished := run.saved.finished:
        run.saved.save_bundle(finished.bundle, get_run_logger())
        restore_change(run.workspace.clean_git, plan.checkout, finished.bundle)


def _judge(run: ImplementRun, result: AgentRun, change: Change) -> AgentReport:
    """Return the agent's report if its work may be pushed; otherwise raise the error that says why not."""
    base = Base(run.workspace.clean_git, change.checkout.base_commit)
    for chunk in read_chunks(run.workspace.transcript):
        check_credentials("the transcript", chunk, base, is_from_agent=True)
    report = _with_missing_files(judge(result, run.agent.options), run, change)
    if change.fault:
        raise _work_tree_error(change, run.saved.bundle_path)
    if change.is_left_aside:
        raise _left_aside_error(change, run.saved.bundle_path)
    is_isolated = not run.workspace.agent.missing_isolation
    if not change.commit:
        check_no_change(report, run.agent.options, is_isolated=is_isolated)
        report = with_last_question(report)
    elif report.denied_paths:
        advice = denial_advice(run.agent.options.claude_settings, is_isolated=is_isolated)
        run.warnings.append(f"the agent was denied access to {', '.join(report.denied_paths)}: {advice}")
        get_run_logger().warning("%s", run.warnings[-1])
    return report


def _with_missing_files(report: AgentReport, run: ImplementRun, change: Change) -> AgentReport:
    """Return the report with only those denied paths that are not in the change."""
    changed = {file.path for file in change.files}
    denied = paths_in_work_tree(report.denied_paths, run.workspace.work_tree)
    return replace(report, denied_paths=tuple(path for path in denied if path not in changed))


def _work_tree_error(change: Change, path: str) -> RunError:
    """Return the error for a work tree that is no longer a usable repository."""
    saved = f"its files, except those that git could not read, are saved as {path}" if path else "no file was changed"
    return AgentRepoInvalid(f"the agent left a work tree from which no change can be taken: {change.fault}; {saved}")


def _left_aside_error(change: Change, path: str) -> RunError:
    """Return the error for a run whose work tree is unchanged, although the agent left work in other places."""
    work = [item for item in change.left_aside if not item.is_ignored]
    places = ", ".join(item.place for item in work)
    commands = "; ".join(f"git fetch <that file> {item.branch} fetches {item.place}" for item in work)
    saved = f"this work is saved as {path}: {commands}" if path else "the run store could not save this work"
    return WorkLeftAside(
        f"the work tree is unchanged, but the agent left work in {places}, so it is not clear what to push; {saved}"
    )


def _explain(error: RunError, path: str, *, disk_is_full: bool) -> RunError:
    """Return the error with the path of the saved work added. If a full disk may be the cause, return a `DiskFull`."""
    if disk_is_full and isinstance(error, _MAY_BE_FULL_DISK):
        error = DiskFull(f"{DISK_FULL} ({error})")
    return type(error)(f"{error}{SAVED_AS}{path}") if path and path not in str(error) else error
