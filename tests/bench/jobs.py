"""Rows 1 and 2: whole jobs, from the start of the container's command to its exit."""

from collections.abc import Iterator

from tests.bench import material
from tests.bench.measures import Measure, at_most, in_words, medians, ratio
from tests.bench.sides import Job, Sides, pairs

_OVERHEAD_SECONDS = 0.7


def small_job(sides: Sides) -> Job:
    """Return the job of row 1."""
    repository = material.repository(sides.region, "small", commits=20, files=200, file_bytes=3_000)
    return Job(repository, material.instructions(sides.region, 1))


def real_job(sides: Sides) -> Job:
    """Return the job of row 2: a repository of 5,000 commits and 150 MB, and 1,000 instruction files."""
    return Job(history(sides), material.instructions(sides.region, 1_000))


def history(sides: Sides) -> str:
    """Return the repository of rows 2 and 4."""
    return material.repository(sides.region, "history", commits=5_000, files=400, file_bytes=42_000)


def small(sides: Sides, count: int) -> Iterator[Measure]:
    """Row 1: a small job."""
    job = small_job(sides)
    times = pairs(
        {
            "plain": lambda: sides.plain(job),
            "flows.runtime.execute": lambda: sides.execute(job),
            "python -m flows": lambda: sides.variables(job),
            "prefect flow-run execute": lambda: sides.prefect_execute(job),
            "claude alone": lambda: sides.claude(job),
            "empty flow": sides.empty,
        },
        count,
    )
    for entry in ("flows.runtime.execute", "python -m flows", "prefect flow-run execute"):
        both = {name: times[name] for name in ("plain", entry)}
        yield at_most(1, f"small job by `{entry}`", ratio(times, entry, "plain"), 1.6, "plain", in_words(both))
    median_seconds = medians(times)
    overhead = median_seconds["flows.runtime.execute"] - median_seconds["claude alone"] - median_seconds["empty flow"]
    parts = {name: times[name] for name in ("flows.runtime.execute", "claude alone", "empty flow")}
    yield Measure(
        1,
        "its own overhead",
        f"{overhead:.2f} s",
        f"≤ {_OVERHEAD_SECONDS} s",
        overhead <= _OVERHEAD_SECONDS,
        in_words(parts),
    )


def real(sides: Sides, count: int) -> Iterator[Measure]:
    """Row 2: a job of realistic size."""
    job = real_job(sides)
    ways = {"plain": sides.plain, "limit": sides.limit, "ours": sides.execute}
    times = pairs({name: lambda way=way: way(job) for name, way in ways.items()}, count)  # type: ignore[misc]
    yield at_most(2, "real-size job", ratio(times, "ours", "plain"), 0.4, "plain", in_words(times))
    yield at_most(2, "real-size job", ratio(times, "ours", "limit"), 1.3, "limit", in_words(times))
