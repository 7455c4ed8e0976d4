"""Verifies one commit: runs the verify commands in a fresh checkout, and on the base commit if one of them fails."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from flows.errors import RunError, SetupFailed
from flows.repository.base_branch import start_of_work
from flows.repository.clone import Checkout
from flows.repository.git_commands import run_git
from flows.repository.setup import SetupCommand, run_setup
from flows.sandbox.workspace import Workspace
from flows.verification.baseline import compare
from flows.verification.changed_checks import changed_checks
from flows.verification.checkout import fresh_checkout
from flows.verification.commands import VerifyCommands
from flows.verification.results import UNMATCHED, CommandResult, Verdict, Verification
from flows.verification.run import run_commands

_CONSEQUENCE = "It ran in the checkout for the verify commands, which did not start."


@dataclass(frozen=True)
class Timeouts:
    """How many seconds a command may run; 0 for no limit."""

    setup_seconds: float
    command_seconds: float


def verify_commit(
    workspace: Workspace,
    checkout: Checkout,
    commit: str,
    commands: VerifyCommands,
    setup: SetupCommand | None,
    environment: Mapping[str, str],
    timeouts: Timeouts,
    log: Callable[[str], None],
    *,
    baseline: tuple[CommandResult, ...] | None = None,
) -> Verification:
    """Run the commands on a commit, and return the verification of its tree.

    Args:
        workspace: The run's directories. `clean.git` has the commit. All processes of the agent's user are ended.
        checkout: What is checked out in the agent's work tree. Its base commit is the base of the commit.
        commit: The commit to verify; the base commit itself if nothing is to be compared.
        commands: The verify commands.
        setup: The setup command; None if the run has none.
        environment: All environment variables of the commands.
        timeouts: The limits for the setup and for each command.
        log: Called with each line for people.
        baseline: The results on the base commit if an earlier verification has them; empty if the base commit could
            not be set up then. None lets the commands run on the base commit as soon as one of them fails.

    Raises:
        GitFailed, CommandFailed, DiskFull: No checkout can be made, so nothing is known about the commit.
    """
    checks = partial(_run_in_checkout, workspace, checkout, commands, setup, environment, timeouts)
    base, git_dir = checkout.base_commit, workspace.clean_git
    tree = run_git(["rev-parse", f"{commit}^{{tree}}"], git_dir=git_dir).text
    start = start_of_work(git_dir, base, checkout.merged_commit)
    changed = changed_checks(git_dir, start, commit, commands.commands)
    try:
        results = checks(commit, log)
    except SetupFailed as error:
        return Verification(tree, setup_fault=str(error), changed_checks=changed)
    failures, fault = tuple(result for result in results if result.verdict is not Verdict.PASSED), ""
    if failures and commit != base:
        if baseline is None:
            baseline, fault = _baseline(checks, base, log)
        elif not baseline:
            fault = "the base commit could not be set up"
        results, failures = compare(results, baseline)
    results, failures = _without_lines(results), _without_lines(failures)
    verification = Verification(tree, results, "", baseline or (), fault, changed, failures)
    if unmatched := verification.unmatched_junit:
        log(f"verify: {UNMATCHED} {', '.join(unmatched)}")
    return verification


def _without_lines(results: tuple[CommandResult, ...]) -> tuple[CommandResult, ...]:
    """Return the results without what only the comparison needs. Later comparisons need that of the baseline alone."""
    return tuple(replace(result, lines=()) for result in results)


def _baseline(
    checks: Callable[[str, Callable[[str], None]], tuple[CommandResult, ...]], base: str, log: Callable[[str], None]
) -> tuple[tuple[CommandResult, ...], str]:
    """Return the results on the base commit, or none and the reason."""
    log(f"verify: a command failed, so the commands run on the base commit {base[:12]} as well")
    try:
        return checks(base, lambda line: log(f"base: {line.removeprefix('verify: ')}")), ""
    except RunError as error:
        log(f"verify: the base commit could not be set up: {error}")
        return (), str(error)


def _run_in_checkout(
    workspace: Workspace,
    checkout: Checkout,
    commands: VerifyCommands,
    setup: SetupCommand | None,
    environment: Mapping[str, str],
    timeouts: Timeouts,
    commit: str,
    log: Callable[[str], None],
) -> tuple[CommandResult, ...]:
    def prepare(fresh: Checkout) -> None:
        if setup:
            log(f"verify: the setup command, from {setup.source}, runs on {commit[:12]}")
            run_setup(workspace, fresh, setup, environment, timeouts.setup_seconds, log, _CONSEQUENCE)

    with fresh_checkout(workspace, checkout, commit, setup, prepare):
        return run_commands(workspace, commands, environment, timeouts.command_seconds, log)
