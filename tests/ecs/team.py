"""A team's set-up: what `python -m deployments up` made, its worker, and what its people do with Prefect's tools."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from tests.ecs.fargate import Submitted, started
from tests.ecs.recorded_aws import RecordedAws
from tests.support.cloud import Cloud
from tests.support.container_engine import Container, Engine
from tests.support.world import World

Found = TypeVar("Found")

PREFECT_API_KEY: Final = "pnu_a_key_that_nobody_else_may_see"
RUN_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def wait_for(look: Callable[[], Found], seconds: float, otherwise: Callable[[], str]) -> Found:
    """Look until there is something; fail, and say what there was, where there is nothing in time."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, otherwise()[-2000:]
        time.sleep(0.2)
    return found


def prefect(*arguments: str) -> str:
    """Give one of Prefect's commands; return what it prints."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def state(run_id: str) -> str:
    """Return the name of a run's state."""
    with get_client(sync_client=True) as client:
        now = client.read_flow_run(UUID(run_id)).state
    return now.name if now and now.name else ""


def states(run_id: str) -> list[str]:
    """Return the names of all states that a run was in, in order."""
    with get_client(sync_client=True) as client:
        return [state.name or "" for state in client.read_flow_run_states(UUID(run_id))]


def first_task_start(run_id: str) -> datetime:
    """Return when the first task of a run began."""
    mine = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(run_id)]))
    with get_client(sync_client=True) as client:
        return min(task.start_time for task in client.read_task_runs(flow_run_filter=mine) if task.start_time)


@dataclass(frozen=True)
class Team:
    """What is there, and how it is used."""

    cloud: Cloud
    engine: Engine
    aws: RecordedAws
    worker: Container

    def run(self, world: World, **parameters: str) -> str:
        """Ask for a run on a test's repository; return its id."""
        return self.ask(repo_url=world.repo_url, instructions_s3_uri=f"{world.instructions()}*", **parameters)

    def ask(self, deployment: str = "implement/ecs", **parameters: str) -> str:
        """Ask for a run as a person would; return its id."""
        flags = [part for name, value in parameters.items() for part in ("-p", f"{name}={value}")]
        found = RUN_ID.search(prefect("deployment", "run", deployment, *flags))
        assert found
        return found.group()

    def submitted(self, run_id: str, time_of_asking: int = 1) -> Submitted:
        """Wait until the worker has asked for the run's task, that many times; return the last."""
        calls = wait_for(lambda: self._asked(run_id, time_of_asking), 60, self.worker.logs)
        request, task = calls[-1].request, calls[-1].response["tasks"][0]
        definition = self.cloud.client("ecs").describe_task_definition(taskDefinition=task["taskDefinitionArn"])
        return Submitted(request, task, definition["taskDefinition"])

    def _asked(self, run_id: str, times: int) -> list[Any]:
        mine = {"key": "prefect.io/flow-run-id", "value": run_id}
        calls = [call for call in self.aws.received("RunTask") if mine in call.request["tags"]]
        return calls if len(calls) >= times else []

    @contextmanager
    def on_fargate(self, world: World, submitted: Submitted) -> Iterator[Container]:
        """Start what was submitted, with the local stack for AWS."""
        account = {name: value for name, value in world.stack.environment().items() if name.startswith("AWS_")}
        with started(self.engine, submitted, account) as container:
            yield container

    def saved_files(self, run_id: str) -> set[str]:
        """Return the names of what the results bucket has of a run."""
        bucket, prefix = f"{self.cloud.project}-results-123456789012-us-east-1", f"claude-code-headless/{run_id}/"
        found = self.cloud.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return {item["Key"].removeprefix(prefix) for item in found}

    def until(self, run_id: str, name: str, container: Container | None = None) -> None:
        """Wait until a run is in a state."""
        logs = (container or self.worker).logs
        wait_for(lambda: state(run_id) == name, 60, lambda: f"{state(run_id)}, not {name}: {logs()}")
