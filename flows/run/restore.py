"""Restores what a run has saved: its finished change, or the work of an agent that was lost."""

from dataclasses import replace

from prefect import get_run_logger

from flows.errors import NoSavedChange
from flows.repository import snapshot
from flows.repository.collect import Change, restore_change
from flows.run.run import ImplementRun, Run
from flows.state.records import FinishedWork, Plan


def load_saved_change(run: Run) -> Change:
    """Return the change that another run saved, with the branch that this run pushes to.

    Raises:
        NoSavedChange: The other run has saved no change.
    """
    if run.saved.plan is None or run.saved.finished is None:
        raise NoSavedChange(f"the run {run.saved.store.flow_run_id} has saved no change")
    change = import_change(run, run.saved.plan, run.saved.finished)
    if not change.commit:
        raise NoSavedChange(
            f"the run {run.saved.store.flow_run_id} has saved no change that could be delivered, only work that "
            "its agent left elsewhere, such as on branches: the run's report has the commands that fetch that work"
        )
    return replace(change, checkout=replace(change.checkout, branch=run.request.branch_name))


def import_change(run: Run, plan: Plan, finished: FinishedWork) -> Change:
    """Load the saved change into the trusted repository, and return the change."""
    change = Change("", plan.checkout)
    if finished.bundle:
        change = restore_change(run.workspace.clean_git, plan.checkout, finished.bundle)
    run.warnings.extend(finished.notes)
    return replace(change, notes=finished.notes, left_aside=finished.left_aside)


def restore_checkpoint(run: ImplementRun, plan: Plan) -> None:
    """Restore the work tree and the conversation of an earlier attempt, so that the agent resumes the work."""
    checkpoint = run.saved.checkpoint
    if checkpoint is None:
        return
    if checkpoint.bundle:
        snapshot.restore(run.workspace, checkpoint.bundle, checkpoint.commit, plan.checkout.base_commit)
    run.agent.resume(checkpoint)
    get_run_logger().info("the work of an earlier attempt resumes (spending so far: %s)", run.agent.meter)


def restore_finished(run: ImplementRun, plan: Plan, change: Change, number: int) -> None:
    """Restore the finished work that the agent shall continue, or what an earlier attempt has done in that direction.

    Args:
        run: The run.
        plan: Holds the commit that the work starts from.
        change: The finished work.
        number: The number of the repair that the agent shall do; 0 if it shall follow the operator's feedback.
    """
    checkpoint = run.saved.checkpoint
    if checkpoint and (checkpoint.feedback, checkpoint.round) == (len(run.feedback), number):
        restore_checkpoint(run, plan)
        return
    if change.commit:
        snapshot.restore_commit(run.workspace, change.commit, plan.checkout.base_commit)
    if checkpoint:
        run.agent.resume(checkpoint)
    if run.saved.finished and run.saved.finished.report:
        run.agent.meter.spent_usd = max(run.agent.meter.spent_usd, run.saved.finished.report.cost_usd)


def restore_earlier_change(run: ImplementRun, plan: Plan) -> None:
    """Let the finished change count again, which a repair or feedback has replaced that came to nothing."""
    if finished := run.saved.finished:
        run.saved.save_bundle(finished.bundle, get_run_logger())
        restore_change(run.workspace.clean_git, plan.checkout, finished.bundle)
