"""What a row of the bench measured, beside its goal."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Measure:
    """One line of the table."""

    row: int
    work: str
    found: str
    """The ratio or the figure that the goal speaks of."""
    goal: str
    met: bool
    sides: str = ""
    """The medians behind it."""


@dataclass(frozen=True)
class Curve:
    """How the time grows with the work, for a plot of row 11."""

    title: str
    unit: str
    points: Mapping[float, float] = field(default_factory=dict)
    """Seconds by size."""


def at_most(row: int, work: str, ratio: float, most: float, of: str, sides: str) -> Measure:
    """Return a measure whose goal is a ratio that is not exceeded."""
    return Measure(row, work, f"{ratio:.2f} × {of}", f"≤ {most} × {of}", ratio <= most, sides)


def medians(times: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the median of each side."""
    return {name: statistics.median(taken) for name, taken in times.items()}


def ratio(times: Mapping[str, Sequence[float]], ours: str, other: str) -> float:
    """Return the median of the ratios of the pairs, of which what slows both cancels out."""
    return statistics.median(a / b for a, b in zip(times[ours], times[other], strict=True))


def shown(times: Mapping[str, Sequence[float]]) -> str:
    """Return the sides' medians, in seconds."""
    return ", ".join(f"{name} {median:.2f} s" for name, median in medians(times).items())
