"""Machines that are lost: a process with its own disk executes a flow run and is killed; another takes its place."""

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
from prefect.client.orchestration import get_client
from prefect.states import AwaitingRetry, Pending

from flows.sandbox.user import FIRST_UID, UID_COUNT

PROJECT: Final = Path(__file__).parents[2]
_PATIENCE_SECONDS: Final = 300


@dataclass
class FlowRun:
    """A run of the flow on the Prefect server, which any machine can execute."""

    id: str

    @property
    def state(self) -> str:
        """The name of the run's current state."""
        with get_client(sync_client=True) as client:
            return str(client.read_flow_run(UUID(self.id)).state_name)

    def retry(self) -> None:
        """Let the next machine execute the run again, as *Retry* in Prefect's UI does."""
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(UUID(self.id), AwaitingRetry(), force=True)


def create_flow_run(parameters: Mapping[str, Any], flow: str = "implement") -> FlowRun:
    """Create a flow run without executing it."""
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow_from_name(flow)
        deployment = client.create_deployment(
            flow_id, f"durability-{uuid4().hex[:8]}", entrypoint=f"flows.{flow}.{flow}"
        )
        run = client.create_flow_run_from_deployment(deployment, parameters=dict(parameters), state=Pending())
        return FlowRun(str(run.id))


@dataclass
class Machine:
    """One process that executes a flow run. It starts with an empty disk and knows only the run's id."""

    run: FlowRun
    disk: Path
    process: "subprocess.Popen[bytes]"
    log_path: Path
    agent_uids: set[int] = field(default_factory=set)

    def wait_for(self, condition: Callable[[str], bool]) -> None:
        """Wait until the machine's log meets the condition or its process has exited."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not condition(self.log()) and self.process.poll() is None:
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.005)

    def log(self) -> str:
        """Return the log so far."""
        return self.log_path.read_text(errors="replace")

    def lose(self) -> None:
        """Kill every process of the machine at once, and remove its disk."""
        self.record_agent_uids()
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
        """Suspend every process of the machine, as if it hung."""
        for process in self.processes():
            with suppress(psutil.Error):
                process.suspend()

    def thaw(self) -> None:
        """Resume every process of the machine."""
        for process in self.processes():
            with suppress(psutil.Error):
                process.resume()

    def wait_for_exit(self) -> int:
        """Wait until the process exits; return the exit status."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.log()
            self.record_agent_uids()
            time.sleep(0.05)
        return self.process.returncode

    def record_agent_uids(self) -> None:
        """Record the uids of the agents that run now."""
        for folder in self.disk.glob("claude-code-headless-*/agent"):
            with suppress(OSError):
                if uid := folder.stat().st_uid:
                    self.agent_uids.add(uid)

    def interrupt(self, signal_number: int = signal.SIGTERM) -> float:
        """Send the signal with which a host stops the machine; return how many seconds it took to exit."""
        started = time.monotonic()
        self.record_agent_uids()
        process = psutil.Process(self.process.pid)
        (process.children()[0] if process.name() == "unshare" else process).send_signal(signal_number)
        self.wait_for_exit()
        return time.monotonic() - started

    def processes(self) -> list[psutil.Process]:
        """Return the machine's processes: the one started here, its descendants, and its agents."""
        return [process for process in psutil.process_iter() if self._owns(process)]

    def _owns(self, process: psutil.Process) -> bool:
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
        has_agent_uid = FIRST_UID <= process.uids().real < FIRST_UID + 2 * UID_COUNT
        return has_agent_uid and str(self.disk) in " ".join(process.environ().values())


@contextmanager
def machine(
    run: FlowRun,
    store: Path,
    command: tuple[str, ...] = (),
    variables: Mapping[str, str] | None = None,
    prefix: tuple[str, ...] = (),
    disk_mb: int = 0,
) -> Iterator[Machine]:
    """Start a machine that executes the run; kill it and remove its disk at the end, if they still exist.

    Args:
        run: The run to execute.
        store: The run store, which all machines share.
        command: The arguments for Python; by default it runs Prefect's engine.
        variables: Additional environment variables.
        prefix: A program, with its arguments, that runs Python.
        disk_mb: The size of the machine's disk in MB; 0 sets no limit.
    """
    # Claude Code puts its socket into /tmp, outside of this disk, if the path of its temporary directory is long.
    disk = Path(tempfile.mkdtemp(prefix="machine-", dir="/tmp"))
    if disk_mb:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={disk_mb}m", "tmpfs", str(disk)], check=True)
    disk.chmod(0o755)
    log_path = disk.with_name(f"{disk.name}.log")
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
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [*prefix, sys.executable, *(command or ("-m", "prefect.engine"))],
            cwd=PROJECT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    new_machine = Machine(run, disk, process, log_path)
    try:
        yield new_machine
    finally:
        if disk.exists():
            new_machine.lose()
        log_path.unlink()


def matches(pattern: str) -> Callable[[str], bool]:
    """Return a condition that holds when a machine's log matches the pattern."""
    return lambda log: re.search(pattern, log) is not None
