"""Describes what the verification of a change found: for the result of a run, and in the message of a failed one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from flows.state.verifications import Round
from flows.verification.results import CommandResult, Status, Verdict, Verification

_MAX_COMMANDS: Final = 5
_MAX_CHECKS: Final = 5
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
class VerifiedRound:
    """One verification of a run."""

    repairs: int
    """How often the agent had repaired the change."""
    status: Status
    seconds: float
    cost_usd: float | None
    """What the model cost since the verification before, in US dollars; None if no agent worked."""
    commands: tuple[VerifiedCommand, ...]
    is_delivery: bool = False


@dataclass(frozen=True)
class VerificationResult:
    """What is known about a change that a run made."""

    status: Status
    repairs: int = 0
    """How often the agent repaired the change."""
    source: str = ""
    """Where the verify commands come from, for people."""
    commands: tuple[VerifiedCommand, ...] = ()
    changed_checks: tuple[str, ...] = ()
    setup_fault: str = ""
    baseline: tuple[VerifiedCommand, ...] = ()
    """How the commands ended on the commit that the work started from; empty if they did not run there."""
    rounds: tuple[VerifiedRound, ...] = ()
    """All verifications of the run, in their order."""

    @classmethod
    def of(
        cls,
        status: Status,
        verification: Verification | None,
        repairs: int,
        rounds: Sequence[Round] = (),
        source: str = "",
    ) -> "VerificationResult":
        """Return the result with this status; `verification` is None if the change was not verified."""
        if verification is None:
            return cls(status, source=source)
        return cls(
            status,
            repairs,
            source,
            commands_of(verification.results),
            verification.changed_checks,
            verification.setup_fault,
            commands_of(verification.baseline),
            tuple(verified_rounds(rounds)),
        )


def commands_of(results: Sequence[CommandResult]) -> tuple[VerifiedCommand, ...]:
    """Return the parts of the results that are shown to programs."""
    return tuple(map(VerifiedCommand.of, results))


def verified_rounds(rounds: Sequence[Round]) -> Iterator[VerifiedRound]:
    """Yield each round, with what the model cost for it alone."""
    before = 0.0
    for each in rounds:
        cost = None if each.is_delivery else round(max(0.0, each.spent_usd - before), 4)
        before = max(before, each.spent_usd)
        commands, seconds = commands_of(each.verification.results), round(each.seconds, 1)
        yield VerifiedRound(each.number, each.verification.status, seconds, cost, commands, each.is_delivery)


def result_text(status: Status, repairs: int) -> str:
    """Return what is known about a change in a few words, for people."""
    after = _after(repairs)
    return {
        Status.VERIFIED: f"verified{after}",
        Status.CHECKS_CHANGED: f"verified{after}, checks changed",
        Status.FAILED_BEFORE: f"not verified{after}: a command fails, as it did before the change",
        Status.NOT_RUN: "not verified: the commands did not run on this commit",
        Status.FAILED: f"verification failed{after}",
    }.get(status, str(status))


def _after(repairs: int) -> str:
    return f" after {repairs} repair{'s' if repairs > 1 else ''}" if repairs else ""


def review_first(changed_checks: Sequence[str]) -> str:
    """Return a sentence about the parts of a change that may weaken a check."""
    more = f"; and {len(changed_checks) - _MAX_CHECKS} more" if len(changed_checks) > _MAX_CHECKS else ""
    lines = "; ".join(line[:_COMMAND_CHARACTERS] for line in changed_checks[:_MAX_CHECKS])
    return f"the change touches what defines the checks. Review this first: {lines}{more}"


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
    fault = f". A repair was ended: {repair_fault}" if repair_fault else ""
    text = f"the change does not pass its verification{_after(repairs)}: {causes(verification)}{fault}. {saved}"
    lines = _last_lines(verification)
    return f"{text}.\n{lines}" if lines else text


def causes(verification: Verification) -> str:
    """Return what made a verification fail, on one line."""
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
    return f"The last lines of the output:\n{shown}" if lines else ""


def _outputs(verification: Verification) -> Iterator[str]:
    return (failure.output for failure in verification.failures if failure.output.strip())
