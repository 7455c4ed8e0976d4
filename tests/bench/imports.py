"""Row 10: what importing the flow costs, and how long it takes until the first task starts."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Final

import httpx

from tests.bench.jobs import small_job
from tests.bench.measures import Measure, at_most, in_words, ratio
from tests.bench.sides import PROJECT, Job, Sides, pairs

_NOT_NEEDED: Final = ("prefect_aws", "boto3", "botocore", "uvicorn", "genai_prices", "moto")


def imports(sides: Sides, count: int) -> Iterator[Measure]:
    """Row 10: import time and time to the first task."""

    def import_seconds(module: str) -> float:
        return sides.timed([sys.executable, "-c", f"import {module}"], sides.environment())

    times = pairs(
        {"prefect": lambda: import_seconds("prefect"), "ours": lambda: import_seconds("flows.implement")}, 2 * count, 2
    )
    yield at_most(
        10, "import of flows.implement", ratio(times, "ours", "prefect"), 1.3, "import prefect", in_words(times)
    )
    script = f"import json, sys, flows.implement; print(json.dumps([m for m in {_NOT_NEEDED} if m in sys.modules]))"
    output = subprocess.run(
        [sys.executable, "-c", script], env=sides.environment(), cwd=PROJECT, capture_output=True, check=True, text=True
    ).stdout
    extra = json.loads(output)
    yield Measure(10, "imported and not used at the start", ", ".join(extra) or "none", "none", not extra)
    job = small_job(sides)
    first = sorted(_to_first_task(sides, job.repo_url, job.instructions_s3_uri) for _ in range(count))
    median_seconds = first[len(first) // 2]
    yield Measure(10, "from the entry to the first task", f"{median_seconds:.2f} s", "no figure", met=True)


def _to_first_task(sides: Sides, repo_url: str, uri: str) -> float:
    command, environment = sides.prepared(Job(repo_url, uri), f"bench/first-{time.time_ns()}")
    started = time.time()
    sides.timed(command, environment)
    run_id = environment["PREFECT__FLOW_RUN_ID"]
    rows: list[dict[str, str]] = []
    deadline = time.monotonic() + 30
    while not rows and time.monotonic() < deadline:
        of_this_run = {"flow_runs": {"id": {"any_": [run_id]}}}
        rows = httpx.post(
            f"{sides.region.stack.prefect_api_url}/task_runs/filter", json=of_this_run, trust_env=False
        ).json()
        rows = [row for row in rows if row["start_time"]]
        time.sleep(0.2)
    return min(datetime.fromisoformat(row["start_time"]).timestamp() for row in rows) - started
