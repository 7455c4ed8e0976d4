"""Runs the verify commands on a repository's base commit, for `python -m flows verify`."""

from collections.abc import Callable, Mapping

from flows.outcome.result import COMPLETED, FAILED
from flows.parameters.limits import Limits
from flows.repository.clone import Checkout
from flows.repository.setup import SetupCommand
from flows.sandbox.workspace import Workspace
from flows.text_safety import one_line
from flows.verification.commands import VerifyCommands
from flows.verification.prepared import save_prepared
from flows.verification.results import CommandResult, Status, TestCounts
from flows.verification.verify import Timeouts, verify_commit


def verify_base(
    workspace: Workspace,
    checkout: Checkout,
    commands: VerifyCommands,
    setup: SetupCommand | None,
    environment: Mapping[str, str],
    limits: Limits,
    log: Callable[[str], None],
) -> int:
    """Run the verify commands as a run does, but on the base commit; print each verdict, and return an exit status.

    Args:
        workspace: The run's directories, with the files that the setup made.
        checkout: What is checked out in the work tree.
        commands: The verify commands.
        setup: The setup command; None if there is none.
        environment: All environment variables of the commands.
        limits: How long the setup and each command may run.
        log: Called with each line of the output, and with each verdict.
    """
    if fault := save_prepared(workspace):
        log(fault)
    timeouts = Timeouts(limits.setup_timeout_seconds, limits.command_timeout_seconds)
    log(f"the verify commands, from {commands.source}, run on {checkout.base_branch}")
    verification = verify_commit(workspace, checkout, checkout.base_commit, commands, setup, environment, timeouts, log)
    if verification.setup_fault:
        log(verification.setup_fault)
    for result in verification.results:
        log(_line(result))
    return FAILED if verification.status is Status.FAILED else COMPLETED


def _line(result: CommandResult) -> str:
    tests = f"; {_counts(result.tests)}" if result.tests else ""
    return f"{result.verdict}: {one_line(result.command)} ({result.seconds:.1f} s{tests})"


def _counts(tests: TestCounts) -> str:
    return f"tests: {tests.tests}, failed: {tests.failed}, skipped: {tests.skipped}"
