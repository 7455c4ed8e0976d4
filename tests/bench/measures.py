"""What a row of the bench measured, compared with its goal."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Measure:
    """One line of the table."""

    row: int
    work: str
    figure: str
    """The measured ratio or value, to compare with the goal."""
    goal: str
    met: bool
    sides: str = ""
    """The medians of the sides, as text."""


@dataclass(frozen=True)
class Curve:
    """How the time grows with the size of the work, for a plot of row 11."""

    title: str
    unit: str
    points: Mapping[float, float] = field(default_factory=dict)
    """Seconds by size."""


def at_most(row: int, work: str, ratio: float, limit: float, reference: str, sides: str) -> Measure:
    """Return a measure whose goal is a ratio of at most `most`."""
    return Measure(row, work, f"{ratio:.2f} × {reference}", f"≤ {limit} × {reference}", ratio <= limit, sides)


def medians(times: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the median of each side."""
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def ratio(times: Mapping[str, Sequence[float]], side: str, other: str) -> float:
    """Return the median of the ratios of the pairs. What slows both sides of a pair cancels out."""
    return statistics.median(a / b for a, b in zip(times[side], times[other], strict=True))


def in_words(times: Mapping[str, Sequence[float]]) -> str:
    """Return the sides' medians, in seconds, as text."""
    return ", ".join(f"{name} {median:.2f} s" for name, median in medians(times).items())
