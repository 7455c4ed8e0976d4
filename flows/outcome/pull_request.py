"""Describes what became of a run's pull request, for its result and for people."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # the HTTP client of the API takes a moment to import, and the help needs this module
    from flows.forges.api.base import PullRequest

_OPEN: Final = "open"


@dataclass(frozen=True)
class PullRequestResult:
    """The pull request of a pushed branch, or why there is none."""

    url: str = ""
    """The address of its page; empty if there is no pull request."""
    number: int = 0
    is_draft: bool = False
    state: str = ""
    """Whether it is open, closed or merged. A person may have closed the one that the run opened before."""
    fault: str = ""
    """Why there is no pull request: the name of the error, and its message. Empty if there is one."""
    refusals: tuple[str, ...] = ()
    """What the forge did not do although the run asked for it, such as to add a label."""

    @classmethod
    def of(cls, request: "PullRequest", refusals: tuple[str, ...] = ()) -> "PullRequestResult":
        """Return the result for a pull request on the forge."""
        return cls(request.url, request.number, request.is_draft, request.state.value, refusals=refusals)

    @property
    def note(self) -> str:
        """A word about the pull request in parentheses, after a space; empty if it is open and ready for review."""
        if self.state and self.state != _OPEN:
            return f" ({self.state})"
        return " (draft)" if self.is_draft else ""


def clause(result: PullRequestResult | None) -> str:
    """Return the end of a sentence about a pushed branch; empty if no pull request was asked for."""
    if result is None:
        return ""
    return f", pull request {result.url}{result.note}" if result.url else f", but no pull request: {result.fault}"
