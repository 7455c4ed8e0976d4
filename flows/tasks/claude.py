"""Defines the step `claude`: it runs the agent, which costs money, then collects, saves and judges the agent's work."""

from dataclasses import replace
from functools import partial

from prefect import get_run_logger

from flows.agent.checkpoints import Checkpoints
from flows.agent.feedback import Feedback
from flows.agent.final_answer import check_status
from flows.agent.follow_up import FollowUp
from flows.agent.outcome import AgentRun
from flows.agent.repair import Repair
from flows.agent.request import Request
from flows.agent.transcript import read_chunks
from flows.errors import DISK_FULL, DiskFull, RunError
from flows.instructions.files import Instructions
from flows.outcome.verification import causes
from flows.redaction import SECRETS
from flows.reporting.progress import show_progress
from flows.repository.clone import Checkout
from flows.repository.collect import Change, CommitIdentity, bundle, collect, restore_change
from flows.repository.commit_message import with_run_trailer
from flows.repository.credentials import GitCredentials
from flows.run.branch_lock import check_branch
from flows.run.follow_up_request import begin_follow_up, is_work
from flows.run.judgment import explain, judge_work
from flows.run.lease import check_lease
from flows.run.preload import preload_for_end
from flows.run.restore import import_change, restore_checkpoint, restore_earlier_change, restore_finished
from flows.run.rounds import has_new_feedback, last_round, verify_commands
from flows.run.run import FollowUpRun, ImplementRun
from flows.run.start import start_work
from flows.run.summary import deployment_name
from flows.state.agent_report import WorkStatus
from flows.state.records import FinishedWork, Plan
from flows.tasks.merge_base import prepare_merge, with_base
from flows.tasks.task import step


@step("claude")
def run_claude(
    run: ImplementRun, credentials: GitCredentials, checkout: Checkout, instructions: Instructions
) -> Change:
    """Return the change: the one that an earlier attempt finished, or the one that Claude Code makes now."""
    if isinstance(run, FollowUpRun) and run.saved.plan is None:
        checkout = with_base(run, credentials, checkout)
        if not is_work(run, checkout):
            return Change("", checkout)
    plan = start_work(run, checkout, instructions)
    identity = _identity(run, credentials, plan)
    if has_new_feedback(run):
        change = _follow_feedback(run, plan, identity)
    elif finished := run.saved.finished:
        get_run_logger().info("an earlier attempt finished and saved the agent's work, so it is not done again")
        change = import_change(run, plan, finished)
    else:
        if run.saved.checkpoint and not run.agent.session_id:
            restore_checkpoint(run, plan)
        request = _first_request(run, credentials, plan)
        change = _run_agent(run, plan, identity, request, is_continued=run.saved.checkpoint is not None)
    _check_answer(run)
    return change


def _first_request(run: ImplementRun, credentials: GitCredentials, plan: Plan) -> Feedback | FollowUp | None:
    """Return what the agent is asked for besides the instructions, before it has finished any work in this run."""
    if isinstance(run, FollowUpRun):
        if run.saved.checkpoint is None and not run.agent.session_id:
            prepare_merge(run, credentials, plan)
        return begin_follow_up(run, plan)
    return Feedback(run.feedback) if run.feedback else None


def _follow_feedback(run: ImplementRun, plan: Plan, identity: CommitIdentity) -> Change:
    """Let the agent continue its finished work with what the operator has said since, and return the change."""
    agent, finished = run.agent, run.saved.finished
    assert finished is not None  # noqa: S101 (else there is nothing to continue)
    request = Feedback(run.feedback[finished.feedback :])
    if not agent.session_id:
        restore_finished(run, plan, import_change(run, plan, finished), request.number)
    agent.round = request.number
    get_run_logger().info("the agent continues its work with the operator's feedback")
    return _run_agent(run, plan, identity, request, is_continued=True)


def _needs_person(run: ImplementRun) -> bool:
    report = run.saved.finished.report if run.saved.finished else None
    return report is not None and report.status in {WorkStatus.NEEDS_INPUT, WorkStatus.BLOCKED}


def _check_answer(run: ImplementRun) -> None:
    """Raise an error if the agent has asked for input, or is blocked."""
    report = run.saved.finished.report if run.saved.finished else None
    if report:
        command = f"python -m deployments runs continue {run.saved.store.flow_run_id} --feedback '…'"
        check_status(report, run.saved.bundle_path, command if deployment_name() else "")


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
        restore_finished(run, plan, change, request.number)
        agent.worked_seconds, is_continued = max(failed.worked_seconds, worked_before_loss), True
    agent.round = request.number
    return _run_agent(run, plan, _identity(run, credentials, plan), request, is_continued=is_continued)


def _identity(run: ImplementRun, credentials: GitCredentials, plan: Plan) -> CommitIdentity:
    """Return what makes the commit the same for each attempt of the run."""
    message = with_run_trailer(run.request.commit_message, run.saved.store.flow_run_id)
    return CommitIdentity(credentials.email, plan.started_at, message)


def _run_agent(
    run: ImplementRun,
    plan: Plan,
    identity: CommitIdentity,
    request: Request | None = None,
    *,
    is_continued: bool,
) -> Change:
    workspace, agent, logger = run.workspace, run.agent, get_run_logger()
    commands = verify_commands(run, plan.checkout)
    agent.verify_commands = commands.commands if commands else ()
    agent.feedback = len(run.feedback)
    observer = partial(show_progress, workspace, agent.meter, agent.options.limits)
    interval = agent.options.limits.checkpoint_seconds
    checkpoints = Checkpoints(workspace, run.saved, plan, agent, interval, logger, request.number if request else 0)
    preload_for_end()
    check_branch(run)
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
                request=request,
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
        restore_earlier_change(run, plan)
        raise explain(error, run.saved.bundle_path, disk_is_full=disk_is_full) from None
    if change.commit or isinstance(run, FollowUpRun) or _needs_person(run):
        checkpoints.round += 1
        checkpoints.write()  # for a repair or feedback in a later attempt, or for a later run
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
    report = judge_work(run, result, change)
    if run.saved.finished:
        report = report.after(run.saved.finished.report, is_repair=number > 0)
    if disk_is_full:
        raise DiskFull(f"{DISK_FULL}; part of the agent's report may be missing")
    for note in change.notes:
        if note not in run.warnings:  # an earlier round has said it
            get_run_logger().warning(note)
            run.warnings.append(note)
    finished = FinishedWork(
        change.commit, report, bundle_bytes, change.notes, change.left_aside, number, len(run.feedback)
    )
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
