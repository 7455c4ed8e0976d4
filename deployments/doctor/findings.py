"""Runs the doctor's checks. The result of a check is called a finding."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from rich.markup import escape


class Verdict(StrEnum):
    """Whether a check succeeded, gave a warning, failed or was skipped."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


_COLOURS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILED: "red", Verdict.SKIPPED: "dim"}


class Skipped(Exception):
    """Raised by a check that does not apply, or that depends on a failed check. The message says why."""


class Warned(Exception):
    """Raised by a check if a run would work, but with a disadvantage. The message describes the disadvantage."""


@dataclass(frozen=True)
class Finding:
    """The result of a check: the check's name, the verdict, and a text for the user."""

    check: str
    verdict: Verdict
    text: str


Check = tuple[str, Callable[[], str]]
"""A check: its name, and a function that returns the text for the user or raises an exception."""


def findings(checks: list[Check]) -> Iterator[Finding]:
    """Run each check and yield its finding. Any exception other than `Skipped` or `Warned` is a failed check."""
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
    """Return a finding as one line of text for the terminal, with Rich's markup."""
    colour = _COLOURS[finding.verdict]
    return f"[{colour}]{finding.verdict:<8}[/{colour}] [bold]{finding.check}[/bold]: {escape(finding.text)}"
