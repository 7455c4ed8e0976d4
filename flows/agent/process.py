"""The agent's process: started with exact arguments, listened to, and ended whatever happens.

Claude Code may outlive its result event, leave children behind, or hold its output open; so the end of a run is ours to
decide: a result and a short grace, an exit, a deadline, or a silence.
"""

import os
import select
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import RawIOBase
from pathlib import Path
from typing import Final

from flows.agent.event_parser import read_events
from flows.agent.event_types import Event, Result
from flows.agent.events import LineFramer
from flows.agent.outcome import AgentRun
from flows.parameters.limits import Limits

_CHUNK_BYTES: Final = 2**18
_TICK_SECONDS: Final = 0.5
_GRACE_SECONDS: Final = 10
"""How long a process may live after its result event."""

_TERMINATION_SECONDS: Final = 2
"""How long a process may take to end when it is told to; Claude Code takes less than a tenth of a second."""

_STDERR_TAIL_BYTES: Final = 4000


@dataclass
class _Listener:
    """What the agent's process has sent so far."""

    on_event: Callable[[Event], None]
    result: Result | None = None
    model_replied: bool = False
    last_line_at: float = field(default_factory=time.monotonic)
    result_at: float | None = None

    def receive(self, line: bytes) -> None:
        self.last_line_at = time.monotonic()
        for event in read_events(line):
            if isinstance(event, Result):
                self.result, self.result_at = event, self.last_line_at
            elif event.role != "program":
                self.result_at = None
            self.model_replied = self.model_replied or event.role == "assistant"
            self.on_event(event)


def run_agent(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    cwd: Path,
    prompt: Path,
    transcript: Path,
    limits: Limits,
    on_event: Callable[[Event], None],
) -> AgentRun:
    """Run Claude Code to its end and return what it left.

    Args:
        argv: The command, with whatever drops privileges in front.
        environment: All that the process gets.
        cwd: The work tree.
        prompt: The file to give as standard input.
        transcript: Where every byte of the event stream is appended, as it came.
        limits: The deadline and the longest silence, in seconds.
        on_event: Called with each event as it comes.
    """
    errors = transcript.with_suffix(".stderr")
    with prompt.open("rb") as stdin, errors.open("wb") as stderr, transcript.open("ab", buffering=0) as kept:
        process = subprocess.Popen(
            argv,
            env=dict(environment),
            cwd=cwd,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            listener = _Listener(on_event)
            ended_for = _listen(process, listener, kept, limits)
            status = process.poll()
        finally:
            _end(process)
    return AgentRun(listener.result, status, _tail(errors), ended_for, listener.model_replied)


def _listen(process: "subprocess.Popen[bytes]", listener: _Listener, kept: RawIOBase, limits: Limits) -> str:
    """Read until the run is over; return `timeout` or `stall` if that is why."""
    assert process.stdout is not None  # noqa: S101 (it is a pipe)
    descriptor, framer = process.stdout.fileno(), LineFramer()
    started = time.monotonic()
    while True:
        readable, _, _ = select.select([descriptor], [], [], _TICK_SECONDS)
        data = os.read(descriptor, _CHUNK_BYTES) if readable else b""
        if data:
            with suppress(OSError):  # where the disk is full the transcript has a gap: the work is worth more
                kept.write(data)
            for line in framer.feed(data):
                listener.receive(line)
        elif readable or process.poll() is not None:
            listener.receive(framer.rest())
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_SECONDS)
            return ""
        now = time.monotonic()
        if listener.result_at is not None and now - listener.result_at > _GRACE_SECONDS:
            return ""
        if limits.agent_timeout_seconds and now - started > limits.agent_timeout_seconds:
            return "timeout"
        if limits.stall_timeout_seconds and now - listener.last_line_at > limits.stall_timeout_seconds:
            return "stall"


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the process, and kill it and its group; what left the group is the agent user's to end.

    Told to end, Claude Code writes down what came of its last tool; killed, it does not, and a turn is paid again.
    """
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_TERMINATION_SECONDS)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, 9)
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _STDERR_TAIL_BYTES))
        return file.read().decode("utf-8", "replace")
