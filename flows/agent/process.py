"""Starts the process of Claude Code, reads its events, and makes sure that the process ends.

Claude Code may keep running after its result event, leave child processes behind, or hold its output open. This module
therefore decides when the agent's work is over: shortly after the result event, when the process exits, at a deadline,
or when Claude Code and the model have both been silent for too long.
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
from flows.agent.event_types import Event, Result, Text, ToolResult, ToolUse
from flows.agent.events import LineFramer
from flows.agent.final_answer import ANSWER_TOOL, REMINDER
from flows.agent.outcome import AgentRun
from flows.parameters.limits import Limits

_SHELL: Final = "Bash"
"""The name of the tool that runs shell commands."""

_CHUNK_BYTES: Final = 2**18
_TICK_SECONDS: Final = 0.5
_GRACE_SECONDS: Final = 10
"""Seconds for which the process may keep running after its result event."""

_COMMAND_GRACE_SECONDS: Final = 60
"""Seconds after which a shell command must have ended, once it has used up its time."""

_TERMINATION_SECONDS: Final = 2
"""Seconds that the process may take to end after SIGTERM. Claude Code takes less than a tenth of a second."""

_STDERR_TAIL_BYTES: Final = 4000


@dataclass
class _Listener:
    """Passes on Claude Code's events, and remembers the last result and when the last line came."""

    on_event: Callable[[Event], None]
    result: Result | None = None
    model_replied: bool = False
    last_line_at: float = field(default_factory=time.monotonic)
    result_at: float | None = None
    open_commands: set[str] = field(default_factory=set)
    """The ids of the tool calls whose shell commands have not ended."""
    last_text: str = ""
    """The last text of the work. After the work, an error of the API would be the last one."""
    is_finished: bool = False
    """Whether the model has ended its work, so that at most its final answer is missing."""

    def receive(self, line: bytes) -> None:
        self.last_line_at = time.monotonic()
        for event in read_events(line):
            if isinstance(event, Result):
                self.result, self.result_at = event, self.last_line_at
            elif event.role != "program":
                self.result_at = None
            self.model_replied = self.model_replied or event.role == "assistant"
            self._follow_commands(event)
            if not event.is_nested:
                self._follow_work(event)
            self.on_event(event)

    def _follow_commands(self, event: Event) -> None:
        if isinstance(event, ToolUse) and event.name == _SHELL:
            self.open_commands.add(event.id)
        elif isinstance(event, ToolResult):
            self.open_commands.discard(event.tool_use_id)
        elif isinstance(event, Result):
            self.open_commands.clear()

    def _follow_work(self, event: Event) -> None:
        match event:
            case Text(role="assistant") if event.text.strip() and not self.is_finished:
                self.last_text = event.text
            case Text(role="user") if event.text.startswith(REMINDER):
                self.is_finished = True
            case ToolUse():
                self.is_finished = event.name == ANSWER_TOOL
            case _:
                pass

    def longest_silence(self, limits: Limits) -> int:
        """Return how many seconds of silence are allowed now; 0 for any number.

        Claude Code sends nothing while a shell command runs, and ends a command that runs for too long.
        """
        if not self.open_commands or not limits.stall_timeout_seconds:
            return limits.stall_timeout_seconds
        if not limits.command_timeout_seconds:
            return 0
        return max(limits.stall_timeout_seconds, limits.command_timeout_seconds + _COMMAND_GRACE_SECONDS)


def run_agent(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    cwd: Path,
    prompt: Path,
    transcript: Path,
    limits: Limits,
    on_event: Callable[[Event], None],
    last_byte_at: Callable[[], float] = lambda: 0.0,
) -> AgentRun:
    """Run Claude Code until it ends or must be ended, and return how it ended.

    Args:
        argv: The command line, including the prefix that drops privileges.
        environment: All environment variables of the process.
        cwd: The directory in which the process starts: the work tree.
        prompt: The file that the process reads as its standard input.
        transcript: The file to which the event stream is appended, byte for byte.
        limits: Holds the deadline, the longest permitted silence, and the longest time of a shell command.
        on_event: Called with each event as soon as it arrives.
        last_byte_at: Returns when the last part of a model's reply arrived, in seconds of the monotonic clock. While a
            long reply arrives, the agent is not silent, although Claude Code sends an event only after each block.
    """
    stderr_path = transcript.with_suffix(".stderr")
    with prompt.open("rb") as stdin, stderr_path.open("wb") as stderr, transcript.open("ab", buffering=0) as copy:
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
            end_reason = _listen(process, listener, copy, limits, last_byte_at)
            status = process.poll()
        finally:
            _end(process)
    return AgentRun(
        listener.result,
        status,
        _tail(stderr_path),
        end_reason,
        listener.model_replied,
        last_text=listener.last_text,
        is_finished=listener.is_finished,
    )


def _listen(
    process: "subprocess.Popen[bytes]",
    listener: _Listener,
    copy: RawIOBase,
    limits: Limits,
    last_byte_at: Callable[[], float],
) -> str:
    """Read the output until the agent's work is over. Return `timeout` or `stall` if that was why, else ""."""
    assert process.stdout is not None  # noqa: S101 (it is a pipe)
    descriptor, framer = process.stdout.fileno(), LineFramer()
    started_at = time.monotonic()
    while True:
        readable, _, _ = select.select([descriptor], [], [], _TICK_SECONDS)
        data = os.read(descriptor, _CHUNK_BYTES) if readable else b""
        if data:
            with suppress(OSError):  # a full disk leaves a gap in the transcript, but must not stop the work
                copy.write(data)
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
        if limits.agent_timeout_seconds and now - started_at > limits.agent_timeout_seconds:
            return "timeout"
        silent_since, longest_silence = max(listener.last_line_at, last_byte_at()), listener.longest_silence(limits)
        if longest_silence and now - silent_since > longest_silence:
            return "stall"


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the process and its process group. Processes that left the group are ended by `AgentUser`.

    SIGTERM comes first, because Claude Code then saves the result of its last tool call. If Claude Code were killed at
    once, the resumed session would repeat a turn, which would be paid for again.
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
