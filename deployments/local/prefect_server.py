"""Starts a temporary Prefect server in a process of its own, with a database of its own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from deployments.local.prefect_database import database_with_tables

_START_SECONDS: Final = 120
_STOP_SECONDS: Final = 20


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def client_environment(api_url: str, home: Path) -> dict[str, str]:
    """Return environment variables that connect a Prefect client to the server instead of the user's own server."""
    return {
        "PREFECT_API_URL": api_url,
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_CLIENT_MAX_RETRIES": "5",
    }


@contextmanager
def ended(process: "subprocess.Popen[bytes]") -> Iterator["subprocess.Popen[bytes]"]:
    """Yield a running process; stop the process and its process group when the context ends."""
    try:
        yield process
    finally:
        for number in (signal.SIGINT, signal.SIGKILL):
            if process.poll() is None:
                os.killpg(process.pid, number)
                try:
                    process.wait(_STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    continue


@contextmanager
def prefect_server(home: Path, port: int, settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """Start `prefect server` on 127.0.0.1 and wait until it answers; yield the URL of its API.

    Args:
        home: The directory for the server's database and log.
        port: The port on which the server listens.
        settings: Further settings of the server, as environment variables.
    """
    api_url = f"http://127.0.0.1:{port}/api"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
        **client_environment(api_url, home),
        "PREFECT_SERVER_UI_API_URL": api_url,
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "0.5",  # else an event is visible five seconds later
        **(settings or {}),
    }
    del environment["PREFECT_API_URL"]
    home.mkdir(parents=True, exist_ok=True)
    database = home / "prefect.db"
    if not database.exists() and (tables := database_with_tables()):
        shutil.copy(tables, database)
    with (home / "server.log").open("wb") as log:
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        with ended(process):
            _wait(api_url, process, home / "server.log")
            yield api_url


def _wait(api_url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{api_url}/health", timeout=2, trust_env=False).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise RuntimeError(f"the Prefect server did not start:\n{log.read_text()[-2000:]}")
