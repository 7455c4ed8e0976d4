"""Findings: the results of the doctor's checks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from rich.markup import escape


class Verdict(StrEnum):
    """The result of one check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


_COLOURS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILED: "red", Verdict.SKIPPED: "dim"}


class Skipped(Exception):
    """A check does not apply, or depends on a check that failed; the message says why."""


class Warned(Exception):
    """A run would work, but with a disadvantage that the message names."""


@dataclass(frozen=True)
class Finding:
    """The result of one check, with a text for the user."""

    check: str
    verdict: Verdict
    text: str


Check = tuple[str, Callable[[], str]]
"""The name of a check, and its function, which returns the text of the finding or raises an exception."""


def findings(checks: list[Check]) -> Iterator[Finding]:
    """Run each check and yield its finding. Any exception except `Skipped` and `Warned` means that the check failed."""
    for name, check in checks:
        yield _finding(name, check)


def _finding(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, Verdict.OK, check())
    except Skipped as reason:
        return Finding(name, Verdict.SKIPPED, str(reason))
    except Warned as warning:
        return Finding(name, Verdict.WARNING, str(warning))
    except Exception as error:  # noqa: BLE001 (any client may raise any error, and the other checks must still run)
        return Finding(name, Verdict.FAILED, f"{type(error).__name__}: {error}")


def as_line(finding: Finding) -> str:
    """Return a finding as one line of markup for the terminal."""
    colour = _COLOURS[finding.verdict]
    return f"[{colour}]{finding.verdict:<8}[/{colour}] [bold]{finding.check}[/bold]: {escape(finding.text)}"
