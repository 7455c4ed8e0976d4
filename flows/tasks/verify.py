"""Defines the steps `verify`, which run the repository's own checks on the change, and the repairs between them."""

import time
from collections.abc import Mapping
from dataclasses import replace

from prefect import get_run_logger

from flows.errors import (
    AgentCrashed,
    AgentDenied,
    AgentFailed,
    AgentRepoInvalid,
    AgentStalled,
    AgentTimeout,
    BudgetExceeded,
    ModelAccessDenied,
    ModelNotFound,
    ModelQuotaExceeded,
    ModelRefused,
    ModelUnavailable,
    PromptTooLong,
    RunError,
    TurnLimitReached,
    VerificationFailed,
    WorkLeftAside,
)
from flows.outcome.pull_request import clause
from flows.outcome.timing import FAILED_STEP
from flows.outcome.verification import causes, failure_message, result_text, review_first
from flows.parameters.limits import Limits
from flows.repository.clone import Checkout
from flows.repository.collect import Change
from flows.repository.credentials import GitCredentials
from flows.repository.git_commands import run_git
from flows.repository.setup import setup_command
from flows.run.judgment import SAVED_AS
from flows.run.lease import check_lease
from flows.run.rounds import Next, next_step, status_of, verification_key, verification_of, verify_commands
from flows.run.run import ImplementRun, Run
from flows.run.summary import short_summary
from flows.sandbox.services import Services
from flows.state.verifications import Round
from flows.tasks.claude import repair
from flows.tasks.services import check_services
from flows.tasks.task import step
from flows.verification.commands import VerifyCommands
from flows.verification.results import CommandResult, Status, Verification
from flows.verification.verify import Timeouts, verify_commit

_ENDS_OF_REPAIRS = (
    AgentCrashed,
    AgentDenied,
    AgentFailed,
    AgentRepoInvalid,
    AgentStalled,
    AgentTimeout,
    BudgetExceeded,
    ModelAccessDenied,
    ModelNotFound,
    ModelQuotaExceeded,
    ModelRefused,
    ModelUnavailable,
    PromptTooLong,
    TurnLimitReached,
    WorkLeftAside,
)
"""The errors of an agent after which its repair is given up. Its change before that is finished, and counts."""


def verify(
    run: ImplementRun, credentials: GitCredentials, checkout: Checkout, services: Services, change: Change
) -> Change:
    """Verify the change, and let the agent repair it while that may help. Return the last change.

    Each verification and each repair is a step of its own. A run without verify commands has no such steps.
    """
    while (upcoming := next_step(run, checkout)) is not Next.NOTHING:
        repairs = run.saved.finished.round if run.saved.finished else 0
        if upcoming is Next.VERIFICATION:
            verification_step = step(f"verify {repairs + 1}" if repairs else "verify")(_verify)
            verification_step(run, checkout, services, change)
            continue
        try:
            change = step(f"claude repair {repairs + 1}")(repair)(run, credentials, change)
        except _ENDS_OF_REPAIRS as error:
            fault = str(error).partition(SAVED_AS)[0]  # the change before the repair is saved there instead
            get_run_logger().warning("the repair was ended, so the change before it counts: %s", fault)
            run.repair_faults.append(fault)
            break
    return change


def may_push(run: ImplementRun, change: Change) -> bool:
    """Whether the change is pushed: if its verification has not failed, or if the run's parameter allows it anyway."""
    return status_of(run, change) is not Status.FAILED or _pushes_failures(run)


def check_verified(run: ImplementRun, change: Change) -> None:
    """Raise `VerificationFailed` if the verification of the change has failed."""
    verification = verification_of(run, change)
    if verification is None or verification.status is not Status.FAILED:
        return
    number = run.saved.finished.round if run.saved.finished else 0
    fault = "; ".join(run.repair_faults)
    error = VerificationFailed(failure_message(verification, number, fault, _place(run, change)))
    raise with_result(run, change, error, is_pushed=_pushes_failures(run))


def with_result(run: Run, change: Change, error: VerificationFailed, *, is_pushed: bool) -> VerificationFailed:
    """Return the error with the result of the run, which names a branch only if the change is pushed."""
    result = short_summary(run, change, error).result
    error.result = result if is_pushed else replace(result, branch="", commit="", files=())
    return error


def _verify(run: ImplementRun, checkout: Checkout, services: Services, change: Change) -> None:
    """Run the verify commands in a fresh checkout of the change, and save the results."""
    commands, finished, logger = verify_commands(run, checkout), run.saved.finished, get_run_logger()
    assert commands is not None  # noqa: S101 (else the step does not run)
    assert finished is not None  # noqa: S101
    check_services(run, services)
    started, saved = time.monotonic(), run.saved.verifications
    tree = run_git(["rev-parse", f"{change.commit}^{{tree}}"], git_dir=run.workspace.clean_git).text
    key = verification_key(run, checkout, commands)
    verification = saved.of_tree(tree, key)
    if verification is None or verification.may_pass_again:
        environment, limits = run.agent.shell_environment(run.workspace), run.agent.options.limits
        baseline = saved.baseline(key)
        try:
            verification = run_commands(run, checkout, change.commit, commands, environment, limits, baseline)
        except RunError as error:
            path = run.saved.bundle_path
            raise (type(error)(f"{error}; the change is saved as {path}") if path else error) from None
    check_lease(run.saved.store)  # a later attempt may have more rounds, and only one attempt may start a repair
    report = finished.report
    worked_seconds = run.agent.worked_seconds or (report.duration_seconds if report else 0)
    seconds = time.monotonic() - started
    spent_usd = max(run.agent.meter.spent_usd, report.cost_usd if report else 0)
    new = Round(finished.round, key, change.commit, verification, seconds, worked_seconds, spent_usd)
    run.saved.save_round(new, logger)
    log_result(verification, finished.round)


def run_commands(
    run: Run,
    checkout: Checkout,
    commit: str,
    commands: VerifyCommands,
    environment: Mapping[str, str],
    limits: Limits,
    baseline: tuple[CommandResult, ...] | None = None,
) -> Verification:
    """Run the verify commands of a run on a commit. `baseline` has the results on the base commit if they are known."""
    logger = get_run_logger()
    logger.info("verify commands, from %s, run in a fresh checkout of the change", commands.source)
    return verify_commit(
        run.workspace,
        checkout,
        commit,
        commands,
        setup_command(run.request.verification.setup_command, checkout),
        environment,
        Timeouts(limits.setup_timeout_seconds, limits.command_timeout_seconds),
        lambda line: logger.info("%s", line),
        baseline=baseline,
    )


def log_result(verification: Verification, repairs: int) -> None:
    """Log what a verification found. The row of the step at a terminal shows a failure with its own sign."""
    logger, text = get_run_logger(), result_text(verification.status, repairs)
    if verification.status is Status.FAILED:
        logger.warning("%s: %s", text, causes(verification), extra={FAILED_STEP: True})
    else:
        logger.info("%s", text)
    if verification.changed_checks:
        logger.warning("%s", review_first(verification.changed_checks))


def _pushes_failures(run: ImplementRun) -> bool:
    return run.request.verification.on_verification_failure == "push"


def _place(run: ImplementRun, change: Change) -> str:
    """Return where a change that failed its verification is, and what a person can do with it."""
    what = "the change before that repair" if run.repair_faults else "the change"
    if _pushes_failures(run):
        return (
            f"verification.on_verification_failure is push, so {what} is pushed to {change.checkout.branch} as "
            f"{change.commit[:12]}{clause(next(iter(run.pull_requests), None))}"
        )
    what = what.capitalize()
    if not (path := run.saved.bundle_path):
        return f"{what} is not pushed, and the run store could not save it: it will be lost with this machine"
    return (
        f"{what} is not pushed, but saved as {path}: the flow deliver pushes it nevertheless "
        f"(flow_run_id={run.saved.store.flow_run_id})"
    )
