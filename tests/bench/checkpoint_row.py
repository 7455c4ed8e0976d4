"""Row 7, which has its own program: `python -m tests.bench.checkpoints`."""

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from tests.bench.measures import Measure
from tests.bench.sides import PROJECT, Sides

_GOAL_PERCENT: Final = 3


def checkpoints_row(sides: Sides, count: int) -> Iterator[Measure]:
    """Row 7: the share of a run's time that checkpoints take."""
    del count
    command = [sys.executable, "-m", "tests.bench.checkpoints"]
    output = subprocess.run(
        command, env=sides.environment(), cwd=PROJECT, capture_output=True, check=True, text=True
    ).stdout
    match = re.search(r"share of wall time +(-?[\d.]+) %", output)
    share = float(match[1]) if match else float("nan")
    yield Measure(
        7, "checkpoints on a 1 GB tree, 12 turns", f"{share:.1f} % of the time", f"≤ {_GOAL_PERCENT} %",
        share <= _GOAL_PERCENT,
    )  # fmt: skip
