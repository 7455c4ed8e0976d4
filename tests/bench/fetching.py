"""Rows 3 and 4: the instructions alone, and the clone alone."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any, Final

from deployments.local.stack import GIT_TOKEN
from tests.bench import alone, material
from tests.bench.jobs import history
from tests.bench.measures import Measure, at_most, medians, ratio, shown
from tests.bench.sides import PROJECT, Sides, fewer, pairs

_FLAT_MB: Final = 30
_LONG: Final = 10_000
"""Objects, of which one pair takes a minute."""
_LINEAR: Final = 1.25
"""Times the tenfold, for what two medians differ by without a reason."""


def step(sides: Sides, what: str, source: str) -> dict[str, Any]:
    """Do one step of ours in a process of its own; return its seconds and memory."""
    environment = {**sides.environment(), alone.TOKEN_VARIABLE: GIT_TOKEN}
    said = subprocess.run(
        [sys.executable, "-m", "tests.bench.alone", what, source],
        env=environment, cwd=PROJECT, capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def instructions(sides: Sides, count: int) -> Iterator[Measure]:
    """Row 3."""
    middle, peak = {}, {}
    for size in (1_000, 10_000):
        uri = material.instructions(sides.region, size)
        steps: list[dict[str, Any]] = []

        def ours(uri: str = uri, steps: list[dict[str, Any]] = steps) -> float:
            steps.append(step(sides, "instructions", uri))
            return float(steps[-1]["seconds"])

        # Ours first, so that it and not the other meets a server that has to ask moto.
        ways = {"ours": ours, "aws s3 cp": lambda uri=uri: _aws(sides, uri)}
        times = pairs(ways, count if size < _LONG else fewer(count))
        middle[size], peak[size] = medians(times)["ours"], max(found["peak_mb"] for found in steps)
        yield at_most(3, f"{size:,} objects", ratio(times, "ours", "aws s3 cp"), 0.4, "aws s3 cp", shown(times))
    growth, more = middle[10_000] / middle[1_000], peak[10_000] - peak[1_000]
    yield Measure(3, "ten times the objects", f"{growth:.1f} × the time", "≤ 10 ×", growth <= 10 * _LINEAR)
    yield Measure(3, "and the memory", f"{more:+.0f} MB", f"flat (≤ {_FLAT_MB} MB)", more <= _FLAT_MB)


def _aws(sides: Sides, uri: str) -> float:
    with tempfile.TemporaryDirectory(dir=sides.region.place / "tmp") as target:
        command = ["aws", "s3", "cp", "--quiet", "--recursive", uri.removesuffix("*"), target]
        return sides.timed(command, sides.region.environment())


def clones(sides: Sides, count: int) -> Iterator[Measure]:
    """Row 4."""
    wide = material.repository(sides.region, "wide", commits=1, files=10_000, file_bytes=100_000)
    for work, url in (("clone of 5,000 commits", history(sides)), ("clone of a 1 GB work tree", wide)):
        times = pairs(
            {
                "git clone --depth 50": lambda url=url: _git(sides, url),  # type: ignore[misc]
                "ours": lambda url=url: float(step(sides, "clone", url)["seconds"]),  # type: ignore[misc]
            },
            count if url != wide else fewer(count),
        )
        other = "git clone --depth 50"
        yield at_most(4, work, ratio(times, "ours", other), 1.1, other, shown(times))


def _git(sides: Sides, url: str) -> float:
    with_token = url.replace("://", f"://x-access-token:{GIT_TOKEN}@")
    with tempfile.TemporaryDirectory(dir=sides.region.place / "tmp") as target:
        return sides.timed(["git", "clone", "--quiet", "--depth", "50", with_token, target], sides.region.environment())
