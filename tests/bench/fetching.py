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
from tests.bench.measures import Measure, at_most, in_words, medians, ratio
from tests.bench.sides import PROJECT, Sides, fewer, pairs

_FLAT_MB: Final = 30
_MANY_OBJECTS: Final = 10_000
"""A pair with this many objects takes a minute, so fewer pairs are measured."""
_TOLERANCE: Final = 1.25
"""How much more than tenfold the time may grow, since two medians differ by chance."""


def step(sides: Sides, name: str, source: str) -> dict[str, Any]:
    """Run one step of this project in its own process; return its seconds and memory use."""
    environment = {**sides.environment(), alone.TOKEN_VARIABLE: GIT_TOKEN}
    output = subprocess.run(
        [sys.executable, "-m", "tests.bench.alone", name, source],
        env=environment, cwd=PROJECT, capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


def instructions(sides: Sides, count: int) -> Iterator[Measure]:
    """Row 3: fetching the instructions."""
    median_seconds, peak_mb = {}, {}
    for size in (1_000, 10_000):
        uri = material.instructions(sides.region, size)
        steps: list[dict[str, Any]] = []

        def fetch(uri: str = uri, steps: list[dict[str, Any]] = steps) -> float:
            steps.append(step(sides, "instructions", uri))
            return float(steps[-1]["seconds"])

        # Ours runs first, so that it is the side that waits for moto while the cache is empty.
        sides_to_compare = {"ours": fetch, "aws s3 cp": lambda uri=uri: _aws(sides, uri)}
        times = pairs(sides_to_compare, count if size < _MANY_OBJECTS else fewer(count))
        median_seconds[size], peak_mb[size] = medians(times)["ours"], max(result["peak_mb"] for result in steps)
        yield at_most(3, f"{size:,} objects", ratio(times, "ours", "aws s3 cp"), 0.4, "aws s3 cp", in_words(times))
    growth, added_mb = median_seconds[10_000] / median_seconds[1_000], peak_mb[10_000] - peak_mb[1_000]
    yield Measure(3, "ten times the objects", f"{growth:.1f} × the time", "≤ 10 ×", growth <= 10 * _TOLERANCE)
    yield Measure(3, "and the memory", f"{added_mb:+.0f} MB", f"flat (≤ {_FLAT_MB} MB)", added_mb <= _FLAT_MB)


def _aws(sides: Sides, uri: str) -> float:
    with tempfile.TemporaryDirectory(dir=sides.region.directory / "tmp") as target:
        command = ["aws", "s3", "cp", "--quiet", "--recursive", uri.removesuffix("*"), target]
        return sides.timed(command, sides.region.environment())


def clones(sides: Sides, count: int) -> Iterator[Measure]:
    """Row 4: cloning the repository."""
    wide = material.repository(sides.region, "wide", commits=1, files=10_000, file_bytes=100_000)
    for title, url in (("clone of 5,000 commits", history(sides)), ("clone of a 1 GB work tree", wide)):
        times = pairs(
            {
                "git clone --depth 50": lambda url=url: _git(sides, url),  # type: ignore[misc]
                "ours": lambda url=url: float(step(sides, "clone", url)["seconds"]),  # type: ignore[misc]
            },
            count if url != wide else fewer(count),
        )
        other = "git clone --depth 50"
        yield at_most(4, title, ratio(times, "ours", other), 1.1, other, in_words(times))


def _git(sides: Sides, url: str) -> float:
    with_token = url.replace("://", f"://x-access-token:{GIT_TOKEN}@")
    with tempfile.TemporaryDirectory(dir=sides.region.directory / "tmp") as target:
        return sides.timed(["git", "clone", "--quiet", "--depth", "50", with_token, target], sides.region.environment())
