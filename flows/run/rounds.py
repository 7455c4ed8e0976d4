"""Decides what a run has still to do after its agent has finished: to verify the change, to repair it, or nothing."""

import hashlib
from enum import Enum, auto

from flows.repository.clone import Checkout
from flows.repository.collect import Change
from flows.repository.setup import setup_command
from flows.run.run import DeliverRun, ImplementRun, Run
from flows.state.verifications import Round
from flows.verification import commands as verification_commands
from flows.verification.commands import VerifyCommands
from flows.verification.results import Status, Verdict, Verification


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
    key = verification_key(run, checkout, commands)
    if saved.of(number, key) is None:
        return Next.VERIFICATION
    may_repair = number < run.request.verification.max_repairs
    return Next.REPAIR if may_repair and saved.is_repairable(number, key) else Next.NOTHING


def verification_key(run: ImplementRun, checkout: Checkout, commands: VerifyCommands) -> tuple[str, ...]:
    """Return what decides the result of a verification of one tree: the commands, the setup and the time limits.

    A later attempt of the run may have others. What an earlier one found then does not count.
    """
    setup, limits = setup_command(run.request.verification.setup_command, checkout), run.agent.options.limits
    conditions: tuple[object, ...] = (
        setup.script if setup else "",
        limits.setup_timeout_seconds,
        limits.command_timeout_seconds,
    )
    if run.feedback:
        conditions += (len(run.feedback),)  # its work has rounds of its own
    return (*commands.commands, hashlib.sha256(repr((conditions, commands.junit)).encode()).hexdigest())


def forget_faults_of_the_machine(run: ImplementRun) -> None:
    """Have the finished work verified again if its last verification may have failed because of the machine.

    This attempt may have more memory or disk. A command that was too slow, and a setup that failed, run again only if
    this attempt has nothing else to do: it was started to try again.
    """
    last, plan = last_round(run), run.saved.plan
    if last is None or plan is None or not last.verification.may_pass_again:
        return
    too_small = {Verdict.OUT_OF_MEMORY, Verdict.OUT_OF_DISK}
    was_too_small = any(failure.verdict in too_small for failure in last.verification.failures)
    if was_too_small or next_step(run, plan.checkout) is Next.NOTHING:
        run.saved.verifications = run.saved.verifications.without(last.number)


def last_round(run: ImplementRun) -> Round | None:
    """Return the verification of the finished work; None if it was not verified.

    The record may have later rounds: of work that the run store did not save.
    """
    finished, plan = run.saved.finished, run.saved.plan
    commands = verify_commands(run, plan.checkout) if plan else None
    if finished is None or plan is None or commands is None:
        return None
    return run.saved.verifications.of(finished.round, verification_key(run, plan.checkout, commands))


def needs_work_tree(run: Run) -> bool:
    """Whether this attempt has to prepare a work tree: for the agent, for a verification or for a repair."""
    if isinstance(run, DeliverRun):
        return run.verifies
    plan = run.saved.plan
    if isinstance(run, ImplementRun) and has_new_feedback(run):
        return True
    return plan is None or run.saved.finished is None or next_step(run, plan.checkout) is not Next.NOTHING


def has_new_feedback(run: ImplementRun) -> bool:
    """Whether the operator has said something that the finished work does not take into account."""
    return run.saved.finished is not None and len(run.feedback) > run.saved.finished.feedback


def verification_of(run: Run, change: Change) -> Verification | None:
    """Return the saved verification of the change; None if it was not verified.

    A change that a delivery applied to a newer commit is verified if its tree is the verified one.
    """
    if not _is_requested(run):
        return None
    saved = run.saved.verifications
    return saved.of_commit(change.commit) or (saved.of_tree(change.applied_tree) if change.applied_tree else None)


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
