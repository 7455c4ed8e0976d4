"""A team's set-up: what `python -m deployments up` created, its worker, and Prefect's tools as people use them."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from tests.ecs.fargate import Submitted, started_task
from tests.ecs.recorded_aws import RecordedAws
from tests.support.cloud import Cloud
from tests.support.container_engine import Container, Engine
from tests.support.world import World

Value = TypeVar("Value")

PREFECT_API_KEY: Final = "pnu_a_key_that_nobody_else_may_see"
RUN_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def wait_for(look: Callable[[], Value], seconds: float, otherwise: Callable[[], str]) -> Value:
    """Call a function until it returns something. Fail with the text of `otherwise` if it returns nothing in time."""
    deadline = time.monotonic() + seconds
    while not (value := look()):
        assert time.monotonic() < deadline, otherwise()[-2000:]
        time.sleep(0.2)
    return value


def prefect(*arguments: str) -> str:
    """Run one of Prefect's commands; return what it prints."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
    completed_process = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
    assert completed_process.returncode == 0, completed_process.stdout + completed_process.stderr
    return completed_process.stdout


def state(run_id: str) -> str:
    """Return the name of a run's current state."""
    with get_client(sync_client=True) as client:
        now = client.read_flow_run(UUID(run_id)).state
    return now.name if now and now.name else ""


def states(run_id: str) -> list[str]:
    """Return the names of all states that a run has had, in order."""
    with get_client(sync_client=True) as client:
        return [state.name or "" for state in client.read_flow_run_states(UUID(run_id))]


def first_task_start(run_id: str) -> datetime:
    """Return when the first task of a run started."""
    of_this_run = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(run_id)]))
    with get_client(sync_client=True) as client:
        return min(task.start_time for task in client.read_task_runs(flow_run_filter=of_this_run) if task.start_time)


@dataclass(frozen=True)
class Team:
    """The parts of the set-up, and the ways to use it."""

    cloud: Cloud
    engine: Engine
    aws: RecordedAws
    worker: Container

    def run(self, world: World, **parameters: str) -> str:
        """Start a run on a test's repository; return its id."""
        return self.start_run(repo_url=world.repo_url, instructions_s3_uri=f"{world.instructions()}*", **parameters)

    def start_run(self, deployment: str = "implement/ecs", options: Sequence[str] = (), **parameters: str) -> str:
        """Start a run of a deployment as a person would; return its id."""
        pairs = [part for name, value in parameters.items() for part in ("-p", f"{name}={value}")]
        match = RUN_ID.search(prefect("deployment", "run", deployment, *options, *pairs))
        assert match
        return match.group()

    def submitted(self, run_id: str, attempt: int = 1) -> Submitted:
        """Wait until the worker has submitted the run's task `attempt` times; return the last submitted task."""
        calls = wait_for(lambda: self._run_task_calls(run_id, attempt), 60, self.worker.logs)
        request, task = calls[-1].request, calls[-1].response["tasks"][0]
        definition = self.cloud.client("ecs").describe_task_definition(taskDefinition=task["taskDefinitionArn"])
        return Submitted(request, task, definition["taskDefinition"])

    def _run_task_calls(self, run_id: str, times: int) -> list[Any]:
        run_tag = {"key": "prefect.io/flow-run-id", "value": run_id}
        calls = [call for call in self.aws.received("RunTask") if run_tag in call.request["tags"]]
        return calls if len(calls) >= times else []

    @contextmanager
    def on_fargate(self, world: World, submitted: Submitted) -> Iterator[Container]:
        """Start the submitted task, with the local stack in place of AWS."""
        aws_variables = {name: value for name, value in world.stack.environment().items() if name.startswith("AWS_")}
        with started_task(self.engine, submitted, aws_variables) as container:
            yield container

    def saved_files(self, run_id: str) -> set[str]:
        """Return the names of a run's files in the results bucket."""
        bucket, prefix = f"{self.cloud.project}-results-123456789012-us-east-1", f"claude-code-headless/{run_id}/"
        objects = self.cloud.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return {item["Key"].removeprefix(prefix) for item in objects}

    def until(self, run_id: str, name: str, container: Container | None = None) -> None:
        """Wait until a run is in a state."""
        logs = (container or self.worker).logs
        wait_for(lambda: state(run_id) == name, 60, lambda: f"{state(run_id)}, not {name}: {logs()}")
