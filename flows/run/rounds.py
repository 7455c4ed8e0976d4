"""Decides what a run has still to do after its agent has finished: to verify the change, to repair it, or nothing."""

from enum import Enum, auto

from flows.repository.clone import Checkout
from flows.repository.collect import Change
from flows.run.run import DeliverRun, ImplementRun, Run
from flows.verification import commands as verification_commands
from flows.verification.commands import VerifyCommands
from flows.verification.results import Status, Verification


class Next(Enum):
    """What a run does next with finished work."""

    VERIFICATION = auto()
    REPAIR = auto()
    NOTHING = auto()
    """The work is verified, cannot be repaired, or has nothing to verify."""


def verify_commands(run: Run, checkout: Checkout) -> VerifyCommands | None:
    """Return the verify commands of a run; None if it has none."""
    return verification_commands.verify_commands(run.request.verification.verify_commands, checkout)


def next_step(run: Run, checkout: Checkout) -> Next:
    """Return what is next for the finished work of a run. What an earlier attempt has done is not done again."""
    finished, commands = run.saved.finished, verify_commands(run, checkout)
    if not isinstance(run, ImplementRun) or finished is None or not finished.commit or commands is None:
        return Next.NOTHING
    saved, number = run.saved.verifications, finished.round
    if saved.of(number, commands.commands) is None:
        return Next.VERIFICATION
    may_repair = number < run.request.verification.max_repairs
    return Next.REPAIR if may_repair and saved.is_repairable(number, commands.commands) else Next.NOTHING


def needs_work_tree(run: Run) -> bool:
    """Whether this attempt has to prepare a work tree: for the agent, for a verification or for a repair."""
    if isinstance(run, DeliverRun):
        return run.verifies
    plan = run.saved.plan
    return plan is None or run.saved.finished is None or next_step(run, plan.checkout) is not Next.NOTHING


def verification_of(run: Run, change: Change) -> Verification | None:
    """Return the saved verification of the change; None if its commit was not verified."""
    return run.saved.verifications.of_commit(change.commit) if _is_requested(run) else None


def status_of(run: Run, change: Change) -> Status | None:
    """Return the status of the change; None without a change."""
    if not change.commit:
        return None
    if verification := verification_of(run, change):
        return verification.status
    return Status.NOT_RUN if _is_requested(run) else Status.NOT_ASKED


def _is_requested(run: Run) -> bool:
    """Whether the change is to be verified. The change of a delivery is, if the run that made it has verified it."""
    if isinstance(run, DeliverRun) and run.saved.verifications.rounds:
        return True
    return run.saved.plan is not None and verify_commands(run, run.saved.plan.checkout) is not None
