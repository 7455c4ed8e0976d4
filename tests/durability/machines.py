"""Machines that are lost: a flow run executed by a process with a disk of its own, killed, and executed again."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.states import Pending

from flows.sandbox.user import FIRST_UID, UID_COUNT

needs_root: Final = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts disks and makes namespaces")
PROJECT: Final = Path(__file__).parents[2]
_PATIENCE_SECONDS: Final = 300


@dataclass
class FlowRun:
    """A run of the flow on the Prefect server, which any machine can execute."""

    id: str

    @property
    def state(self) -> str:
        """Its state's name."""
        with get_client(sync_client=True) as client:
            return str(client.read_flow_run(UUID(self.id)).state_name)


def create_flow_run(parameters: Mapping[str, Any]) -> FlowRun:
    """Make a flow run that nobody executes yet."""
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow_from_name("implement")
        deployment = client.create_deployment(
            flow_id, f"durability-{uuid4().hex[:8]}", entrypoint="flows.implement.implement"
        )
        run = client.create_flow_run_from_deployment(deployment, parameters=dict(parameters), state=Pending())
        return FlowRun(str(run.id))


@dataclass
class Machine:
    """One process that executes a flow run, with an empty disk, which is all that it knows beside the run's id."""

    run: FlowRun
    disk: Path
    process: "subprocess.Popen[bytes]"
    said: Path
    agent_uids: set[int] = field(default_factory=set)

    def wait_for(self, there: Callable[[str], bool]) -> None:
        """Wait until what the machine has said so far is as `there` wants it, or its process is over."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not there(self.log()) and self.process.poll() is None:
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.005)

    def log(self) -> str:
        """Return what it has said so far."""
        return self.said.read_text(errors="replace")

    def lose(self) -> None:
        """Kill every process of the machine at once, and take its disk away."""
        self.note_agents()
        self.freeze()
        for process in self.processes():
            with suppress(psutil.Error):
                process.kill()
        self.process.wait()
        while any(self.processes()):
            time.sleep(0.01)
        if self.disk.is_mount():
            subprocess.run(["umount", str(self.disk)], check=True)
        shutil.rmtree(self.disk)

    def freeze(self) -> None:
        """Stop every process of the machine, as though it hung."""
        for process in self.processes():
            with suppress(psutil.Error):
                process.suspend()

    def thaw(self) -> None:
        """Let it go on where it was."""
        for process in self.processes():
            with suppress(psutil.Error):
                process.resume()

    def end(self) -> int:
        """Wait for its end; return the exit status."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.log()
            self.note_agents()
            time.sleep(0.05)
        return self.process.returncode

    def note_agents(self) -> None:
        """Remember the users that its agents have."""
        for folder in self.disk.glob("claude-code-headless-*/agent"):
            with suppress(OSError):
                if uid := folder.stat().st_uid:
                    self.agent_uids.add(uid)

    def interrupt(self, number: int = signal.SIGTERM) -> float:
        """Tell it to stop, as a host does that is taken back; return how many seconds it took to."""
        started = time.monotonic()
        self.note_agents()
        first = psutil.Process(self.process.pid)
        (first.children()[0] if first.name() == "unshare" else first).send_signal(number)
        self.end()
        return time.monotonic() - started

    def processes(self) -> list[psutil.Process]:
        """Return its processes: those below it, and those whose files are on its disk."""
        return [process for process in psutil.process_iter() if self._has(process)]

    def _has(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            return (
                process.pid == self.process.pid
                or process.environ().get("DISK") == str(self.disk)
                or self._is_agent(process)
            )
        except psutil.Error:
            return False

    def _is_agent(self, process: psutil.Process) -> bool:
        of_an_agent = FIRST_UID <= process.uids().real < FIRST_UID + 2 * UID_COUNT
        return of_an_agent and str(self.disk) in " ".join(process.environ().values())


@contextmanager
def machine(
    run: FlowRun,
    store: Path,
    command: tuple[str, ...] = (),
    variables: Mapping[str, str] | None = None,
    prefix: tuple[str, ...] = (),
    disk_mb: int = 0,
) -> Iterator[Machine]:
    """Start a machine that executes the run; whatever is left of it at the end is removed.

    Args:
        run: What it executes.
        store: The run store, which every machine reaches.
        command: What Python is to run there, in place of Prefect's engine.
        variables: More of its environment.
        prefix: What is to run Python.
        disk_mb: The size of its disk; 0 for as much as this host has.
    """
    disk = Path(tempfile.mkdtemp(prefix="machine-"))
    if disk_mb:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={disk_mb}m", "tmpfs", str(disk)], check=True)
    disk.chmod(0o755)
    said = disk.with_name(f"{disk.name}.log")
    environment = {
        **os.environ,
        "PYTHONPATH": str(PROJECT),
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(disk),
        "DISK": str(disk),
        "PREFECT_HOME": str(disk / "prefect"),
        "PREFECT_LOCAL_STORAGE_PATH": str(store),
        "PREFECT__FLOW_RUN_ID": run.id,
        "PREFECT_LOGGING_COLORS": "false",
        **(variables or {}),
    }
    with said.open("wb") as log:
        process = subprocess.Popen(
            [*prefix, sys.executable, *(command or ("-m", "prefect.engine"))],
            cwd=PROJECT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    made = Machine(run, disk, process, said)
    try:
        yield made
    finally:
        if disk.exists():
            made.lose()
        said.unlink()


def matches(pattern: str) -> Callable[[str], bool]:
    """Return whether a machine's words match."""
    return lambda said: re.search(pattern, said) is not None
