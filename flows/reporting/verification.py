"""Writes the part of a report about the verification: each round with its commands, and the output of what failed."""

from collections.abc import Iterator
from typing import Final

from flows.outcome.summary import RunSummary
from flows.outcome.verification import VerifiedRound, verified_rounds
from flows.reporting.markdown import code, fenced, prose, table
from flows.state.verifications import Round
from flows.verification.results import UNMATCHED, CommandResult, Status, Verdict, Verification

_COMMAND_CHARACTERS: Final = 300
_OUTPUT_CHARACTERS: Final = 4_000
_MAX_ROWS: Final = 100
_MAX_OUTPUTS: Final = 5
_MAX_LINES: Final = 50
_ROUND_HEADER: Final = ["round", "verification", "seconds", "cost of the work before it"]
_SIGN: Final = {Verdict.PASSED: "✓", Verdict.FAILED_BEFORE: "–"}  # noqa: RUF001 (a dash)


def verification_section(summary: RunSummary) -> str:
    """Return the section of the report; empty if the run has verified nothing."""
    return "\n\n".join(_parts(summary)) if summary.rounds else ""


def _parts(summary: RunSummary) -> Iterator[str]:
    last = summary.verification or summary.rounds[-1].verification
    yield "## Verification"
    if summary.status is Status.NOT_RUN:
        yield "The commands did not run on the change in this report, only on the work before it."
    if len(summary.rounds) > 1:
        yield table([_round(each) for each in verified_rounds(summary.rounds)], _ROUND_HEADER)
    rows = [row for each in summary.rounds for row in _rows(each)]
    if rows:
        # The last round counts.
        if len(rows) > _MAX_ROWS:
            yield f"The first {len(rows) - _MAX_ROWS} results are left out."
        yield table(rows[-_MAX_ROWS:], ["round", "command", "result", "seconds", "tests"])
    if last.setup_fault:
        yield "The setup failed, so that no command ran:"
        yield fenced(last.setup_fault[-_OUTPUT_CHARACTERS:])
    yield from _baseline(last)
    if last.changed_checks:
        yield "The change touches what defines the checks. Review this first:"
        yield _list(last.changed_checks)
    if last.unmatched_junit:
        names = ", ".join(code(pattern) for pattern in last.unmatched_junit)
        yield f"{UNMATCHED} {names}. So these tests are not counted."
    for failure in _with_output(last)[:_MAX_OUTPUTS]:
        yield f"The end of the output of {code(failure.command[:_COMMAND_CHARACTERS])}:"
        yield fenced(failure.output[-_OUTPUT_CHARACTERS:] or "It printed nothing.")


def _with_output(verification: Verification) -> tuple[CommandResult, ...]:
    """Return the results whose output is shown: those that failed, and those that failed before as well."""
    before = tuple(result for result in verification.results if result.verdict is Verdict.FAILED_BEFORE)
    return verification.failures + before


def _round(each: VerifiedRound) -> list[str]:
    cost = "" if each.cost_usd is None else f"${each.cost_usd:.4f}"
    return [_name(each.repairs, is_delivery=each.is_delivery), each.status, f"{each.seconds:.1f}", cost]


def _name(repairs: int, *, is_delivery: bool) -> str:
    return "delivery" if is_delivery else f"repair {repairs}" if repairs else "first"


def _rows(each: Round) -> Iterator[list[str]]:
    name = _name(each.number, is_delivery=each.is_delivery)
    if each.verification.setup_fault:
        yield [name, "", "✗ setup failed", "", ""]
    for result in each.verification.results:
        command = code(result.command[:_COMMAND_CHARACTERS])
        yield [name, command, _verdict(result), f"{result.seconds:.1f}", _tests(result)]


def _verdict(result: CommandResult) -> str:
    status = f", exit status {result.exit_status}" if result.exit_status else ""
    return f"{_SIGN.get(result.verdict, '✗')} {result.verdict}{status}"


def _tests(result: CommandResult) -> str:
    if result.tests is None:
        return ""
    counts = {"failed": result.tests.failed, "skipped": result.tests.skipped}
    return ", ".join([str(result.tests.tests), *(f"{count} {what}" for what, count in counts.items() if count)])


def _baseline(verification: Verification) -> Iterator[str]:
    if verification.baseline_fault:
        fault = prose(verification.baseline_fault[-_OUTPUT_CHARACTERS:])
        yield f"It is not known what failed before the change: {fault}"
    failed = [result for result in verification.baseline if result.verdict is not Verdict.PASSED]
    if verification.baseline and not failed:
        yield "Without the change, on the commit that the work started from, all commands pass."
    if failed:
        yield "Without the change, on the commit that the work started from, these commands fail as well:"
        yield _list(
            [f"{result.command[:_COMMAND_CHARACTERS]}: {result.verdict}{_failed_names(result)}" for result in failed]
        )
        if {failure.command for failure in verification.failures} & {each.command for each in failed if not each.tests}:
            yield (
                "A command that fails here and there may fail for a new reason, because its output is another one. "
                "With junit in the repository's file, its tests are compared by name."
            )


def _failed_names(result: CommandResult) -> str:
    names = result.tests.failed_names[:_MAX_LINES] if result.tests else ()
    return f" ({', '.join(names)})" if names else ""


def _list(lines: tuple[str, ...] | list[str]) -> str:
    more = [f"- and {len(lines) - _MAX_LINES} more"] if len(lines) > _MAX_LINES else []
    return "\n".join([*(f"- {code(line[:_OUTPUT_CHARACTERS])}" for line in lines[:_MAX_LINES]), *more])
