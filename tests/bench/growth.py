"""Row 11: how the time grows with the turns, the repository, the instruction files, and the runs at once."""

import itertools
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from deployments.local.prefect_server import free_port, prefect_server
from deployments.local.scripted_model import Script, Tool, Turn
from tests.bench import material
from tests.bench.fetching import step
from tests.bench.jobs import small_job
from tests.bench.measures import Curve, Measure
from tests.bench.region import JOB
from tests.bench.sides import PROJECT, Sides
from tests.support.postgresql import postgresql

_TURNS: Final = (10, 100, 1_000)
_MEGABYTES: Final = (1, 10, 100, 1_000)
_FILES: Final = (1, 10, 100, 1_000, 10_000)
_RUNS: Final = (1, 5, 20, 50)
"""With PostgreSQL: Prefect's server on SQLite has place for 100 requests and WebSockets, and a run holds three."""
_SLACK: Final = 1.25
_BRANCHES: Final = itertools.count(1)


def curves(sides: Sides) -> Iterator[Curve]:
    """Measure each once: what counts is the shape."""
    with _by_postgresql(sides) as others:
        yield _curve("runs at once", "runs", _RUNS, lambda size: _runs(others, size))
    yield _curve("turns of the agent", "turns", _TURNS, lambda size: _turns(sides, size))
    yield _curve("a repository's work tree", "MB", _MEGABYTES, lambda size: _megabytes(sides, size))
    yield _curve("instruction files", "files", _FILES, lambda size: _files(sides, size))


@contextmanager
def _by_postgresql(sides: Sides) -> Iterator[Sides]:
    """The same region, with a Prefect server for many."""
    with postgresql() as database:
        setting = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": database.url("postgres")}
        with prefect_server(sides.region.place / "prefect", free_port(), setting) as api_url:
            yield Sides(replace(sides.region, stack=replace(sides.region.stack, prefect_api_url=api_url)))


def _curve(title: str, unit: str, sizes: tuple[int, ...], measured: Callable[[int], float]) -> Curve:
    measured(sizes[0])  # warms up
    return Curve(title, unit, {size: measured(size) for size in sizes})


def _turns(sides: Sides, size: int) -> float:
    look = Turn("I look.", (Tool("Read", {"file_path": "{cwd}/src/part00/file00000.py"}),))
    sides.region.stack.model.script = Script((*(look,) * (size - 2), *JOB.turns))
    try:
        return sides.execute(small_job(sides), limits={"max_turns": 0})
    finally:
        sides.region.stack.model.script = JOB


def _megabytes(sides: Sides, size: int) -> float:
    url = material.repository(sides.region, f"tree-{size}", commits=1, files=size * 10, file_bytes=100_000)
    return float(step(sides, "clone", url)["seconds"])


def _files(sides: Sides, size: int) -> float:
    return float(step(sides, "instructions", material.instructions(sides.region, size))["seconds"])


def _runs(sides: Sides, size: int) -> float:
    job = small_job(sides)
    prepared = [sides.prepared(job, f"bench/many-{next(_BRANCHES)}") for _ in range(size)]
    started = time.perf_counter()
    processes = [
        subprocess.Popen(
            command, env=environment, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for command, environment in prepared
    ]  # fmt: skip
    statuses = [process.wait() for process in processes]
    if any(statuses):
        raise RuntimeError(f"of {size} runs at once some failed")
    return time.perf_counter() - started


def growth(made: list[Curve]) -> Iterator[Measure]:
    """Return row 11's lines of the table: how much more the last step of each curve costs than the one before."""
    for curve in made:
        (small, before), (large, after) = sorted(curve.points.items())[-2:]
        times, sizes = after / before, large / small
        points = ", ".join(f"{size:,.0f}: {seconds:.1f} s" for size, seconds in curve.points.items())
        work = f"{curve.title}, {small:,.0f} → {large:,.0f} {curve.unit}"
        yield Measure(11, work, f"{times:.1f} × the time", f"≤ {sizes:.1f} ×", times <= sizes * _SLACK, points)


def plot(made: list[Curve], path: Path) -> None:
    """Draw the curves, each beside the line of what grows as the work does."""
    import matplotlib as mpl  # noqa: PLC0415 (half a second, for this alone)

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, places = plt.subplots(1, len(made), figsize=(3.2 * len(made), 2.8), layout="constrained")
    for place, curve in zip(places, made, strict=True):
        sizes, seconds = zip(*sorted(curve.points.items()), strict=True)
        place.loglog(sizes, seconds, "o-", label="measured")
        place.loglog(sizes, [seconds[-1] * size / sizes[-1] for size in sizes], "--", color="gray", label="linear")
        place.set(title=curve.title, xlabel=curve.unit, ylabel="seconds")
    places[0].legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    plt.close(figure)
