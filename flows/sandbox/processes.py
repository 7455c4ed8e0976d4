"""Runs commands with a time limit, and kills the processes that are still alive when a run ends."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import IO, Final

_CHUNK_BYTES: Final = 2**18
_STDERR_LIMIT_BYTES: Final = 2**16
_MOMENT_SECONDS: Final = 1
_OPEN: Final[ContextVar["set[subprocess.Popen[bytes]]"]] = ContextVar("open_processes")


@dataclass(frozen=True)
class CommandResult:
    """The result of one command. `stdout` is bytes, because the output, such as paths, may be in any encoding."""

    status: int
    """The exit status, or the negative number of the signal that ended the command, as in `subprocess`."""
    stdout: bytes
    stderr: str
    is_timed_out: bool = False
    """Whether the time limit passed before the command ended, or before another process closed the command's output."""
    is_cut: bool = False
    """Whether the command wrote more than the limit, so that `stdout` has only the beginning of the output."""

    @property
    def text(self) -> str:
        """`stdout` as text, without the final newline."""
        return self.stdout.decode("utf-8", "surrogateescape").rstrip("\n")


def run_process(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    stdin: IO[bytes] | None = None,
    cwd: str = os.sep,
    timeout_seconds: float,
    output_limit_bytes: int,
    on_exit: Callable[[], None] | None = None,
) -> CommandResult:
    """Run a command in a new process session, wait until the process ends, and return the result.

    Args:
        argv: The command line.
        environment: The whole environment of the process.
        stdin: The file to use as standard input; None for no input.
        cwd: The working directory of the process.
        timeout_seconds: How long the command may take before its process group is killed.
        output_limit_bytes: How much of standard output to return. The rest is read and dropped.
        on_exit: Called when the process has ended. Children of the process may still hold the output open.
    """
    process = subprocess.Popen(
        argv,
        env=dict(environment),
        cwd=cwd,
        stdin=stdin if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    with track_process(process):
        stdout, stderr = _Output(process.stdout, output_limit_bytes), _Output(process.stderr, _STDERR_LIMIT_BYTES)
        deadline = time.monotonic() + timeout_seconds
        has_ended = _ends_within(process, timeout_seconds)
        if on_exit is not None:
            on_exit()
        # A process that the command left behind could hold the output open for as long as it lives.
        is_read = stdout.ends_by(deadline) & stderr.ends_by(deadline)
    text = bytes(stderr.content).decode("utf-8", "replace")
    return CommandResult(process.returncode, bytes(stdout.content), text, not (has_ended and is_read), stdout.is_cut)


def _ends_within(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        kill_group(process)
        process.wait()
        return False
    return True


class _Output:
    """Reads a pipe to its end in a thread, but stores only the first bytes, up to a limit."""

    def __init__(self, pipe: IO[bytes] | None, limit_bytes: int) -> None:
        assert pipe is not None  # noqa: S101 (Popen was asked for a pipe)
        self.content = bytearray()
        self.is_cut = False
        self._limit = limit_bytes
        self._thread = threading.Thread(target=self._read, args=(pipe,), name="output", daemon=True)
        self._thread.start()

    def ends_by(self, deadline: float) -> bool:
        """Wait until the output ends or the deadline passes, but at least 1 s; return whether the output ended."""
        self._thread.join(max(_MOMENT_SECONDS, deadline - time.monotonic()))
        return not self._thread.is_alive()

    def _read(self, pipe: IO[bytes]) -> None:
        with pipe:
            while chunk := os.read(pipe.fileno(), _CHUNK_BYTES):
                space = self._limit - len(self.content)
                self.content += chunk[:space]
                self.is_cut = self.is_cut or len(chunk) > space


@contextmanager
def kill_tracked_processes() -> Iterator[None]:
    """When the context ends, kill all processes that `track_process` still tracks, such as git at a silent server."""
    processes: set[subprocess.Popen[bytes]] = set()
    token = _OPEN.set(processes)
    try:
        yield
    finally:
        _OPEN.reset(token)
        for process in tuple(processes):
            kill_group(process)


@contextmanager
def track_process(process: "subprocess.Popen[bytes] | None") -> Iterator[None]:
    """Track a process in this context. If the enclosing `kill_tracked_processes` ends first, it kills the process."""
    processes = _OPEN.get(set())
    if process is not None:
        processes.add(process)
    try:
        yield
    finally:
        if process is not None:
            processes.discard(process)


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill the whole process group of a process that leads a session."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
