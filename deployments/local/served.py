"""The deployment `implement/local`, served by a process of its own, and runs of it by Prefect's command line."""

import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from rich.console import Console
from rich.markup import escape

from deployments.local.prefect_server import ended

_PROJECT: Final = Path(__file__).parents[2]
_RUN_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SERVE_SECONDS: Final = 60

console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


class DemoFailed(Exception):
    """The demo cannot go on; the message says why."""


@dataclass(frozen=True)
class Server:
    """The process that serves the deployment, and the last that it said."""

    process: "subprocess.Popen[bytes]"
    said: deque[str]

    def check(self) -> None:
        """Raise `DemoFailed` where it has ended."""
        if self.process.poll() is not None:
            raise DemoFailed("what serves the deployment has ended:\n" + "\n".join(self.said))


@contextmanager
def served(environment: dict[str, str]) -> Iterator[Server]:
    """Serve the deployment, as a team's machine would, and pass on what its runs log."""
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
    server = Server(process, deque(maxlen=20))
    with ended(process):
        threading.Thread(target=follow, args=(server,), daemon=True).start()
        wait_for_deployment(environment, server)
        yield server


def follow(server: Server) -> None:
    """Print the log lines of the runs as they come."""
    for line in server.process.stdout or ():
        text = line.decode("utf-8", "replace").rstrip()
        server.said.append(text)
        if found := re.search(r"\| (\w+) +\| (Flow|Task) run '([^']*)' - (.*)", text):
            level, _, name, said = found.groups()
            color = {"INFO": "", "WARNING": "[yellow]", "ERROR": "[red]"}.get(level, "")
            step = re.sub(r"-\w{3}$", "", name) if found[2] == "Task" else "flow"
            console.print(f"  [dim]{step:>12}[/dim]  {color}{escape(said)}", soft_wrap=True)


def wait_for_deployment(environment: dict[str, str], server: Server) -> None:
    """Wait until the deployment is on the server."""
    api_url, auth_string = environment["PREFECT_API_URL"], environment.get("PREFECT_API_AUTH_STRING", "")
    user, _, password = auth_string.partition(":")
    deadline = time.monotonic() + _SERVE_SECONDS
    while time.monotonic() < deadline:
        server.check()
        if httpx.get(
            f"{api_url}/deployments/name/implement/local", auth=(user, password) if user else None, trust_env=False
        ).is_success:
            return
        time.sleep(0.2)
    raise DemoFailed("the deployment did not come up:\n" + "\n".join(server.said))


def run(environment: dict[str, str], server: Server, **parameters: str) -> tuple[str, bool]:
    """Start a run with Prefect's command line and watch it to its end; return its id and whether it completed."""
    given = [part for name, value in parameters.items() for part in ("-p", f"{name}={value}")]
    command = [sys.executable, "-m", "prefect", "deployment", "run", "implement/local", *given, "--watch"]
    with subprocess.Popen(
        command, env=environment, cwd=_PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            while process.poll() is None:
                server.check()
                time.sleep(0.1)
        finally:
            process.kill()
        said = process.stdout.read() if process.stdout else ""
    found = _RUN_ID.search(said)
    if found is None:
        raise DemoFailed(f"the run did not start:\n{said}")
    return found.group(), process.returncode == 0
