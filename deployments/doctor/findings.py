"""What the doctor finds: each check by its name, with what to do if it failed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from botocore.exceptions import BotoCoreError, ClientError
from rich.markup import escape

from deployments.cli.errors import Refused
from flows.errors import RunError


class Verdict(StrEnum):
    """The result of one check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


_COLOURS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILED: "red", Verdict.SKIPPED: "dim"}


class Skipped(Exception):
    """A check does not apply, or needs the result of one that failed; the message says which."""


class Warned(Exception):
    """A run would work, with a disadvantage that the message names."""


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    check: str
    verdict: Verdict
    text: str


Check = tuple[str, Callable[[], str]]
"""A name, and a function that returns what it found or raises."""


def findings(checks: list[Check]) -> Iterator[Finding]:
    """Carry out each check; an error is a finding."""
    for name, check in checks:
        yield _finding(name, check)


def _finding(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, Verdict.OK, check())
    except Skipped as reason:
        return Finding(name, Verdict.SKIPPED, str(reason))
    except Warned as warning:
        return Finding(name, Verdict.WARNING, str(warning))
    except (RunError, Refused) as error:
        return Finding(name, Verdict.FAILED, f"{type(error).__name__}: {error}")
    except (BotoCoreError, ClientError, OSError) as error:
        return Finding(name, Verdict.FAILED, f"{type(error).__name__}: {error}")
    except Exception as error:  # noqa: BLE001 (a client or a file system may raise anything; the other checks go on)
        return Finding(name, Verdict.FAILED, f"{type(error).__name__}: {error}")


def as_line(finding: Finding) -> str:
    """Return a finding as one line of markup for the terminal."""
    colour = _COLOURS[finding.verdict]
    return f"[{colour}]{finding.verdict:<8}[/{colour}] [bold]{finding.check}[/bold]: {escape(finding.text)}"
