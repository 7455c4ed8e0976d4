"""Serves the deployment `implement/local` in a separate process, and starts its runs with Prefect's command line."""

import json
import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from rich.console import Console

from deployments.local.prefect_server import ended
from flows.reporting.terminal import Lines, Progress

_PROJECT: Final = Path(__file__).parents[2]
_RUN_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LOG_LINE: Final = re.compile(r"\| (\w+) +\| (Flow|Task) run '([^']*)' - (.*)")
_COMPLETED: Final = "Finished in state Completed()"
_FINAL: Final = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
_SERVE_SECONDS: Final = 60
_POLL_SECONDS: Final = 0.3


class DemoFailed(Exception):
    """The demo cannot continue; the message says why."""


@dataclass
class Server:
    """The process that serves the deployments, and the last lines of the process's output."""

    process: "subprocess.Popen[bytes]"
    last_lines: deque[str]
    rows: Progress
    """Shows the log lines of the runs."""

    def check(self) -> None:
        """Raise `DemoFailed` if the process has exited."""
        if self.process.poll() is not None:
            raise DemoFailed("the process that serves the deployment has exited:\n" + "\n".join(self.last_lines))


@contextmanager
def served(environment: dict[str, str], rows: Progress | None = None) -> Iterator[Server]:
    """Serve the deployment in a separate process until the context ends, and show the log lines of its runs."""
    command = [sys.executable, "-m", "deployments.local.serve"]
    process = subprocess.Popen(
        command,
        env={**environment, "PREFECT_RUNNER_POLL_FREQUENCY": "1"},
        cwd=_PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    server = Server(process, deque(maxlen=20), rows or Lines(Console(quiet=True)))
    with ended(process):
        threading.Thread(target=listen, args=(server,), daemon=True).start()
        wait_for_deployment(environment, server)
        yield server


def listen(server: Server) -> None:
    """Show each log line of the deployment's runs as soon as the line arrives."""
    for line in server.process.stdout or ():
        text = line.decode("utf-8", "replace").rstrip()
        server.last_lines.append(text)
        if match := _LOG_LINE.search(text):
            level, kind, name, message = match.groups()
            if message == _COMPLETED:
                continue  # the step's row shows that already
            if level == "INFO":
                server.rows.update(name if kind == "Task" else "run", message)
            else:
                server.rows.warn(message)


def wait_for_deployment(environment: dict[str, str], server: Server) -> None:
    """Wait until the deployment is on the Prefect server.

    Raises:
        DemoFailed: The deployment does not appear in time, or the process that serves it has exited.
    """
    deadline = time.monotonic() + _SERVE_SECONDS
    with prefect_api(environment) as api:
        while time.monotonic() < deadline:
            server.check()
            if api.get("/deployments/name/implement/local").is_success:
                return
            time.sleep(0.2)
    raise DemoFailed(
        f"the deployment did not appear on the Prefect server within {_SERVE_SECONDS} s:\n"
        + "\n".join(server.last_lines)
    )


def prefect_api(environment: dict[str, str]) -> httpx.Client:
    """Return an HTTP client for the Prefect API that the environment variables name."""
    user, _, password = environment.get("PREFECT_API_AUTH_STRING", "").partition(":")
    auth = (user, password) if user else None
    return httpx.Client(base_url=environment["PREFECT_API_URL"], auth=auth, timeout=60, trust_env=False)


def run(
    environment: dict[str, str],
    server: Server,
    watch: Callable[[str], object] = lambda _: None,
    deployment: str = "implement/local",
    **parameters: object,
) -> tuple[str, bool]:
    """Start a run with Prefect's command line and wait until it ends; return its id and whether it completed.

    Args:
        environment: The environment variables with which Prefect's command line reaches the API.
        server: The process that serves the deployment.
        watch: A function that is called with the run's id: a few times a second during the run, and once at its end.
        deployment: The deployment's name.
        parameters: The parameters of the run.
    """
    command = [
        sys.executable,
        "-m",
        "prefect",
        "deployment",
        "run",
        deployment,
        "--params",
        json.dumps(parameters),
    ]
    process = subprocess.run(command, env=environment, cwd=_PROJECT, capture_output=True, text=True, check=False)
    server.check()
    if process.returncode or not (match := _RUN_ID.search(process.stdout)):
        raise DemoFailed(f"the run did not start:\n{process.stdout}{process.stderr}")
    run_id = match.group()
    with prefect_api(environment) as api:
        while (state := api.get(f"/flow_runs/{run_id}").json()["state"]["type"]) not in _FINAL:
            server.check()
            watch(run_id)
            time.sleep(_POLL_SECONDS)
    watch(run_id)
    return run_id, state == "COMPLETED"
