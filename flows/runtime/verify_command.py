"""Runs the verify commands on a repository's base commit, for `python -m flows verify`."""

from collections.abc import Callable, Mapping

from flows.parameters.limits import Limits
from flows.repository.clone import Checkout
from flows.repository.setup import SetupCommand
from flows.sandbox.workspace import Workspace
from flows.text_safety import one_line
from flows.verification.commands import VerifyCommands
from flows.verification.prepared import save_prepared
from flows.verification.results import CommandResult, Status, TestCounts, Verdict, Verification
from flows.verification.verify import Timeouts, verify_commit


def verify_base(
    workspace: Workspace,
    checkout: Checkout,
    commands: VerifyCommands,
    setup: SetupCommand | None,
    environment: Mapping[str, str],
    limits: Limits,
    log: Callable[[str], None],
) -> Verification:
    """Run the verify commands as a run does, but on the base commit; log each verdict, and what it means for a run.

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
    log(conclusion(verification, checkout.base_branch))
    return verification


def conclusion(verification: Verification, branch: str) -> str:
    """Return what the results on the base commit mean for a run, as one line."""
    if verification.setup_fault:
        return f"no command ran on {branch}, because the setup failed: correct the setup, or no change can be verified"
    results = verification.results
    failed = sum(1 for result in results if result.verdict is not Verdict.PASSED)
    commands = f"{len(results)} command{'s' if len(results) > 1 else ''}"
    if verification.status is Status.FAILED:
        return (
            f"{failed} of {commands} failed on {branch}: a run will end as NotVerified, unless its change makes all "
            "commands pass; or as VerificationFailed, if its change breaks more"
        )
    return f"{commands} passed on {branch}: a run will end as Completed if they pass on its change as well"


def _line(result: CommandResult) -> str:
    tests = f"; {_counts(result.tests)}" if result.tests else ""
    return f"{result.verdict}: {one_line(result.command)} ({result.seconds:.1f} s{tests})"


def _counts(tests: TestCounts) -> str:
    return f"tests: {tests.tests}, failed: {tests.failed}, skipped: {tests.skipped}"
