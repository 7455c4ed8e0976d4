"""Row 11: how the time grows with the number of turns, the repository, the instruction files, and concurrent runs."""

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
"""Measured with PostgreSQL: a run holds three connections, and Prefect's server on SQLite accepts 100 in all."""
_SLACK: Final = 1.25
_BRANCHES: Final = itertools.count(1)


def curves(sides: Sides) -> Iterator[Curve]:
    """Measure each point once, since only the shape of the curve matters."""
    with _by_postgresql(sides) as postgres_sides:
        yield _curve("runs at once", "runs", _RUNS, lambda size: _runs(postgres_sides, size))
    yield _curve("turns of the agent", "turns", _TURNS, lambda size: _turns(sides, size))
    yield _curve("a repository's work tree", "MB", _MEGABYTES, lambda size: _megabytes(sides, size))
    yield _curve("instruction files", "files", _FILES, lambda size: _files(sides, size))


@contextmanager
def _by_postgresql(sides: Sides) -> Iterator[Sides]:
    """The same region, with a Prefect server for many runs."""
    with postgresql() as database:
        setting = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": database.url("postgres")}
        with prefect_server(sides.region.directory / "prefect", free_port(), setting) as api_url:
            yield Sides(replace(sides.region, stack=replace(sides.region.stack, prefect_api_url=api_url)))


def _curve(title: str, unit: str, sizes: tuple[int, ...], measure: Callable[[int], float]) -> Curve:
    measure(sizes[0])  # warm-up
    return Curve(title, unit, {size: measure(size) for size in sizes})


def _turns(sides: Sides, size: int) -> float:
    read = Turn("I look.", (Tool("Read", {"file_path": "{cwd}/src/part00/file00000.py"}),))
    sides.region.stack.model.script = Script((*(read,) * (size - 2), *JOB.turns))
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
        raise RuntimeError(f"some of {size} concurrent runs failed")
    return time.perf_counter() - started


def growth(all_curves: list[Curve]) -> Iterator[Measure]:
    """Yield row 11's lines of the table: how the time grows over the last step of each curve."""
    for curve in all_curves:
        (small, before), (large, after) = sorted(curve.points.items())[-2:]
        times, sizes = after / before, large / small
        points = ", ".join(f"{size:,.0f}: {seconds:.1f} s" for size, seconds in curve.points.items())
        work = f"{curve.title}, {small:,.0f} → {large:,.0f} {curve.unit}"
        yield Measure(11, work, f"{times:.1f} × the time", f"≤ {sizes:.1f} ×", times <= sizes * _SLACK, points)


def plot(all_curves: list[Curve], path: Path) -> None:
    """Draw each curve next to a line of linear growth."""
    import matplotlib as mpl  # noqa: PLC0415 (the import takes half a second, and only this function needs it)

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(1, len(all_curves), figsize=(3.2 * len(all_curves), 2.8), layout="constrained")
    for axis, curve in zip(axes, all_curves, strict=True):
        sizes, seconds = zip(*sorted(curve.points.items()), strict=True)
        axis.loglog(sizes, seconds, "o-", label="measured")
        axis.loglog(sizes, [seconds[-1] * size / sizes[-1] for size in sizes], "--", color="gray", label="linear")
        axis.set(title=curve.title, xlabel=curve.unit, ylabel="seconds")
    axes[0].legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    plt.close(figure)
