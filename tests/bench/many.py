"""Row 8: twenty concurrent runs of one process worker, compared with as many plain pipelines under `xargs -P`."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final, Self

import httpx
import psutil

from deployments.local.prefect_server import ended
from flows.sandbox.user import FIRST_UID, UID_COUNT
from tests.bench.jobs import small_job
from tests.bench.measures import Measure, in_words, ratio
from tests.bench.sides import PROJECT, PULL_NOTHING, Job, Sides, fewer

RUNS: Final = 20
_POOL: Final = "bench"
_GOAL: Final = 0.8
_GOAL_MB: Final = 170
_TIMEOUT_SECONDS: Final = 400
_SAMPLE_SECONDS: Final = 1


class Memory:
    """The peak memory of all trusted processes of the runs below a process, with shared pages counted once."""

    def __init__(self, process: psutil.Process) -> None:
        self.peak_mb = 0.0
        self._process, self._over = process, threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._over.wait(_SAMPLE_SECONDS):
            self.peak_mb = max(
                self.peak_mb, sum(_trusted_mb(child) for child in self._process.children(recursive=True))
            )


def _trusted_mb(process: psutil.Process) -> float:
    with suppress(psutil.Error):
        if not FIRST_UID <= process.uids().real < FIRST_UID + 2 * UID_COUNT:
            return float(process.memory_full_info().pss) / 2**20
    return 0.0


@contextmanager
def worker(sides: Sides) -> Iterator[tuple[str, psutil.Process]]:
    """Run a process worker; yield the deployment whose runs it executes, and the worker's process."""
    environment = {**sides.environment(), "PREFECT_WORKER_QUERY_SECONDS": "1"}
    with suppress(httpx.HTTPStatusError):
        sides.api("/work_pools/", {"name": _POOL, "type": "process"})
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", _POOL, "--type", "process"]
    process = subprocess.Popen(
        command, env=environment, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    with ended(process):
        variables = {
            "env": _account_variables(sides),
            "working_dir": str(PROJECT),
            "command": f"{sys.executable} -m flows.runtime.engine",
        }
        settings = {**PULL_NOTHING, "work_pool_name": _POOL, "job_variables": variables}
        yield sides.deploy("implement", "by-worker", settings), psutil.Process(process.pid)


def _account_variables(sides: Sides) -> dict[str, str]:
    return {name: value for name, value in sides.environment().items() if name.startswith(("AWS_", "ANTHROPIC_"))}


def by_worker(sides: Sides, job: Job, deployment: str, process: psutil.Process) -> tuple[float, float]:
    """Start all runs at once; return the seconds from the first request to the end of the last run, and the peak MB."""
    started_at = datetime.now(UTC)
    with Memory(process) as memory:
        ids = [
            sides.flow_run_of(deployment, sides.parameters(job, f"bench/w{time.time_ns()}-{number}"))
            for number in range(RUNS)
        ]
        runs = _finished(sides, ids)
    ended_at = max(datetime.fromisoformat(str(run["end_time"])) for run in runs)
    return (ended_at - started_at).total_seconds(), memory.peak_mb


def _finished(sides: Sides, ids: list[str]) -> list[dict[str, Any]]:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        url = f"{sides.region.stack.prefect_api_url}/flow_runs/filter"
        with suppress(httpx.HTTPError):
            answer = httpx.post(url, json={"flow_runs": {"id": {"any_": ids}}}, trust_env=False, timeout=60)
            runs: list[dict[str, Any]] = answer.raise_for_status().json()
            if all(run["end_time"] for run in runs):
                if failures := [run["state"]["message"] for run in runs if run["state_type"] != "COMPLETED"]:
                    raise RuntimeError(f"{len(failures)} of {len(ids)} runs failed: {failures[0]}")
                return runs
        time.sleep(2)
    raise RuntimeError(f"the runs did not end in {_TIMEOUT_SECONDS} s")


def by_xargs(sides: Sides, job: Job) -> float:
    """Run the plain pipelines at once; return the seconds."""
    directory = sides.region.directory / "tmp" / f"xargs-{time.time_ns()}"
    branch = f"bench/x$1-{time.time_ns()}"
    variables = f'WORK="{directory}/$1" HOME="{directory}/$1" BRANCH_NAME="{branch}"'
    script = f'mkdir -p "{directory}/$1" && env {variables} bash "{PROJECT}/tests/bench/plain.sh"'
    environment = {
        **sides.shell_environment(directory), "REPO_URL": job.repo_url, "INSTRUCTIONS_S3_URI": job.instructions_s3_uri,
        "ONE": script,
    }  # fmt: skip
    command = f'seq {RUNS} | xargs -P {RUNS} -I@ bash -c "$ONE" _ @; status=$?; rm -rf "{directory}"; exit $status'
    return sides.timed(["bash", "-c", command], environment)


def many(sides: Sides, count: int) -> Iterator[Measure]:
    """Row 8: concurrent runs. A pair keeps both processors busy for minutes, so fewer pairs are measured."""
    job = small_job(sides)
    times: dict[str, list[float]] = {"plain": [], "ours": []}
    peak = 0.0
    with worker(sides) as (deployment, process):
        for _ in range(fewer(fewer(count))):
            times["plain"].append(by_xargs(sides, job))
            try:
                seconds, megabytes = by_worker(sides, job, deployment, process)
            except RuntimeError as error:
                print(f"     retrying: {error}")  # under this load Prefect's worker may fail to reach its server
                seconds, megabytes = by_worker(sides, job, deployment, process)
            times["ours"].append(seconds)
            peak = max(peak, megabytes)
    rate, each = 1 / ratio(times, "ours", "plain"), peak / RUNS
    yield Measure(
        8, f"{RUNS} runs at once, {os.cpu_count()} processors", f"{rate:.2f} × plain", f"≥ {_GOAL} × plain",
        rate >= _GOAL, in_words(times),
    )  # fmt: skip
    yield Measure(8, "trusted memory of a run", f"{each:.0f} MB", f"≤ {_GOAL_MB} MB", each <= _GOAL_MB)
