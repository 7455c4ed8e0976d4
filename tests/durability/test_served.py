"""Cancellation and delivery with the tools people use: a serving process or a worker, and Prefect's command line."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from deployments.local.prefect_server import ended
from deployments.local.scripted_model import Script
from deployments.local.served import served
from flows.sandbox.user import FIRST_UID, UID_COUNT
from tests.durability.machines import PROJECT, FlowRun
from tests.durability.scene import BRANCH, steps
from tests.support.world import World

CANCELLED_SECONDS = 10
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@contextmanager
def served_by_worker(environment: dict[str, str]) -> Iterator[None]:
    """Deploy as prefect.yaml says, and run a worker of the local pool."""
    variables = {"PWD": str(PROJECT), "CLAUDE_CODE_PYTHON": sys.executable, "CLAUDE_CODE_IMAGE": "none"}
    pool = ["--pool", "claude-code-local", "--type", "process"]
    prefect(environment, "work-pool", "create", "--overwrite", pool[1], *pool[2:])
    prefect({**environment, **variables}, "--no-prompt", "deploy", "--name", "*/local")
    process = subprocess.Popen(
        [sys.executable, "-m", "prefect", "worker", "start", *pool],
        env={**environment, "PREFECT_WORKER_QUERY_SECONDS": "1"},
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with ended(process):
        yield


@pytest.fixture(params=[served, served_by_worker], ids=["served", "by-a-worker"])
def environment(world: World, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The environment of a person's shell, with this test's own store and temporary directory."""
    (tmp_path / "tmp").mkdir(mode=0o711)
    for folder in (tmp_path, *tmp_path.parents):
        if str(folder).startswith("/tmp/"):  # noqa: S108 (pytest creates these directories for its own user only)
            folder.chmod(folder.stat().st_mode | 0o011)
    variables = {
        **os.environ,
        **world.stack.environment(),
        "TMPDIR": str(tmp_path / "tmp"),
        "PREFECT_LOCAL_STORAGE_PATH": str(tmp_path / "store"),
    }
    with request.param(variables):
        yield variables


def prefect(environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "-m", "prefect", *arguments]
    completed_process = subprocess.run(
        command, env=environment, cwd=PROJECT, check=False, capture_output=True, text=True
    )
    assert completed_process.returncode == 0, completed_process.stdout + completed_process.stderr
    return completed_process.stdout


def start_run(environment: dict[str, str], world: World) -> FlowRun:
    parameters = {"repo_url": world.repo_url, "instructions": "Take the steps", "branch_name": BRANCH}
    options = [part for name, value in parameters.items() for part in ("-p", f"{name}={value}")]
    match = ID.search(prefect(environment, "deployment", "run", "implement/local", *options))
    assert match
    return FlowRun(match.group())


def agent_processes(environment: dict[str, str]) -> list[str]:
    processes = []
    for process in psutil.process_iter():
        try:
            has_agent_uid = FIRST_UID <= process.uids().real < FIRST_UID + 2 * UID_COUNT
            if has_agent_uid and environment["TMPDIR"] in " ".join(process.environ().values()):
                processes.append(str(process))
        except psutil.Error:
            continue
    return processes


def wait_for_agents(seconds: float, expected: bool, environment: dict[str, str]) -> None:
    deadline = time.monotonic() + seconds
    while bool(agent_processes(environment)) != expected:
        assert time.monotonic() < deadline, agent_processes(environment)
        time.sleep(0.1)


def wait_for_state(run: FlowRun, state: str) -> None:
    deadline = time.monotonic() + 240
    while run.state != state:
        assert time.monotonic() < deadline, run.state
        time.sleep(0.2)


def test_a_run_is_cancelled_and_its_saved_work_delivered_on_the_command_line(
    world: World, environment: dict[str, str]
) -> None:
    world.stack.model.requests.clear()
    world.stack.model.script = Script(steps(slow=7))
    run = start_run(environment, world)
    deadline = time.monotonic() + 240
    while len(world.stack.model.requests) < 7:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    wait_for_agents(CANCELLED_SECONDS, expected=True, environment=environment)
    prefect(environment, "flow-run", "cancel", run.id)
    wait_for_agents(CANCELLED_SECONDS, expected=False, environment=environment)
    wait_for_state(run, "Cancelled")
    assert world.branches() == {"main"}
    prefect(environment, "deployment", "run", "deliver/local", "-p", f"flow_run_id={run.id}", "--watch")
    assert world.content(BRANCH, "step-6") == "6"
    assert not list(Path(environment["TMPDIR"]).glob("claude-code-headless-*"))
