"""Describes what the verification of a change found: for the result of a run, and in the message of a failed one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from flows.verification.results import CommandResult, Status, Verdict, Verification

_MAX_COMMANDS: Final = 5
_COMMAND_CHARACTERS: Final = 200
_LAST_LINES: Final = 20
_LAST_CHARACTERS: Final = 2_000
_TAGS: Final = {
    Status.VERIFIED: "yes",
    Status.CHECKS_CHANGED: "checks-changed",
    Status.NOT_RUN: "not-run",
    Status.FAILED_BEFORE: "failed-before",
    Status.FAILED: "failed",
}


@dataclass(frozen=True)
class VerifiedCommand:
    """How a verify command ended at last."""

    command: str
    verdict: Verdict
    exit_status: int | None
    seconds: float
    tests: int | None = None
    """How many tests there were; None if it is not known. The same holds for the fields below."""
    tests_failed: int | None = None
    tests_skipped: int | None = None

    @classmethod
    def of(cls, result: CommandResult) -> "VerifiedCommand":
        """Return the part of a command's result that is shown to programs."""
        tests = result.tests
        counts = (tests.tests, tests.failed, tests.skipped) if tests else ()
        return cls(result.command, result.verdict, result.exit_status, round(result.seconds, 1), *counts)


@dataclass(frozen=True)
class VerificationResult:
    """What is known about a change that a run made."""

    status: Status
    repairs: int = 0
    """How often the agent repaired the change."""
    commands: tuple[VerifiedCommand, ...] = ()
    changed_checks: tuple[str, ...] = ()
    setup_fault: str = ""

    @classmethod
    def of(cls, status: Status, verification: Verification | None, repairs: int) -> "VerificationResult":
        """Return the result with this status; `verification` is None if the change was not verified."""
        if verification is None:
            return cls(status)
        commands = tuple(map(VerifiedCommand.of, verification.results))
        return cls(status, repairs, commands, verification.changed_checks, verification.setup_fault)


def tag(status: Status) -> str:
    """Return the tag that a flow run gets on the Prefect server; empty if nothing was to be verified."""
    return f"verified:{_TAGS[status]}" if status in _TAGS else ""


def failure_message(verification: Verification, repairs: int, repair_fault: str, saved: str) -> str:
    """Return the message of `VerificationFailed`.

    Args:
        verification: The verification that failed.
        repairs: How many repairs the change has had.
        repair_fault: Why the last repair did not come to its end; empty if it did.
        saved: Where the change is, and what a person can do with it.
    """
    after = f" after {repairs} repair{'s' if repairs > 1 else ''}" if repairs else ""
    fault = f". A repair was ended: {repair_fault}" if repair_fault else ""
    lines = _last_lines(verification)
    return f"the change does not pass its verification{after}: {_causes(verification)}{fault}. {saved}{lines}"


def _causes(verification: Verification) -> str:
    if verification.setup_fault:
        return "its setup failed"
    failures = verification.failures
    more = f", and {len(failures) - _MAX_COMMANDS} more" if len(failures) > _MAX_COMMANDS else ""
    return ", ".join(map(_cause, failures[:_MAX_COMMANDS])) + more


def _cause(failure: CommandResult) -> str:
    time = f" after {failure.seconds:.0f} s" if failure.verdict is Verdict.TIMED_OUT else ""
    reason = f" ({failure.reason})" if failure.reason else ""
    return f"{failure.command[:_COMMAND_CHARACTERS]!r} {failure.verdict}{time}{reason}"


def _last_lines(verification: Verification) -> str:
    text = verification.setup_fault or next(_outputs(verification), "")
    lines = text.strip().splitlines()[-_LAST_LINES:]
    shown = "\n".join(lines)[-_LAST_CHARACTERS:]
    return f"\nThe last lines of the output:\n{shown}" if lines else ""


def _outputs(verification: Verification) -> Iterator[str]:
    return (failure.output for failure in verification.failures if failure.output.strip())
