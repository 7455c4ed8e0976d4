"""Describes what a run of follow_up heard and answered, for people."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ReviewSummary:
    """The review of a run's pull request."""

    comments: int
    """How many comments the run heard."""
    threads: int
    answers: int
    """How many threads have an answer."""
    unheard: tuple[str, ...] = ()
    """A line for each new comment that the run did not hear: who, where and why."""
    missing: int = 0
    """How many threads were not found any more when they should be answered."""

    @property
    def answered_text(self) -> str:
        """How many of the threads have an answer, as text."""
        return f"{self.answers} of {self.threads} thread{'' if self.threads == 1 else 's'}"

    @property
    def unheard_text(self) -> str:
        """How many comments were not heard, as text; empty if none."""
        count = len(self.unheard)
        return f"{count} {'comment was' if count == 1 else 'comments were'} not heard" if count else ""

    @property
    def text(self) -> str:
        """The numbers, as text."""
        heard = f"{self.comments} comment{'' if self.comments == 1 else 's'} heard"
        missing = f", {self.missing} not found any more" if self.missing else ""
        return f"{heard}, {self.answered_text} answered{missing}, {len(self.unheard)} not heard"
