"""Turns the agent's events into log lines that a person can follow, one line for each step.

A step is logged when it ends, with its result; until then `current_activity` describes the step. A long run gets few
lines: each of the first hundred steps has a line, then every second step, then every fourth, and so on. A line also
says how many steps were skipped before it. At DEBUG every step is logged, with its input and output.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from flows.agent.event_types import (
    ApiRetry,
    Compaction,
    Event,
    Result,
    SessionStarted,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
)
from flows.agent.events import json_text
from flows.reporting.open_calls import OpenCalls
from flows.reporting.repetition import RepeatedFailures
from flows.reporting.tool_calls import describe_call, describe_result, shorten
from flows.text_safety import one_line

_EACH_LOGGED: Final = 100
_LINES_PER_STRIDE: Final = 30
_SLOW_SECONDS: Final = 10
_DETAIL_MAX: Final = 2000
_RETRY_REASONS: Final = {
    "529": "the model is overloaded",
    "429": "the model's API throttles requests",
    "503": "the model is overloaded",
}


@dataclass(frozen=True)
class LogLine:
    """A line for the log, and its level."""

    text: str
    level: int = logging.INFO


@dataclass(frozen=True)
class _OpenCall:
    use: ToolUse
    description: str
    started_at: float


@dataclass
class ActivityLog:
    """Turns the events of one agent into log lines.

    Args:
        prefixes: Path prefixes to leave out of the lines, such as that of the work tree.
        in_detail: Whether to yield DEBUG lines as well.
    """

    prefixes: Sequence[str] = ()
    in_detail: bool = False
    current_activity: str = "starts"
    repeated_failures: RepeatedFailures = field(default_factory=RepeatedFailures)
    _calls: OpenCalls[_OpenCall] = field(default_factory=OpenCalls)
    _logged: int = 0
    _skipped: int = 0
    _last_step: str = ""

    def lines(self, event: Event, now: float) -> Iterator[LogLine]:
        """Yield the log lines for an event. `now` is the time of its arrival, in seconds of any monotonic clock."""
        agent = "a subagent " if event.is_nested else ""
        for text, detail in self._steps(event, now):
            yield from self._paced(self._plain(f"{agent}{text}"))
            if detail and self.in_detail:
                yield LogLine(self._plain(detail), logging.DEBUG)
        if repeated := self.repeated_failures.notice(event):
            yield LogLine(self._plain(repeated), logging.WARNING)
        if isinstance(event, Result):
            for call in self._calls.close_all():
                yield LogLine(self._plain(f"{call.description} → no result"), logging.DEBUG)
            if self._skipped:
                yield LogLine(f"({self._skipped:,} steps skipped; the transcript has them)")
            failure = f": {shorten(event.subtype)}" if event.subtype != "success" else ""
            yield LogLine(one_line(f"ends after {event.turns} turns{failure}"))
            self.current_activity = "is done"

    def _steps(self, event: Event, now: float) -> Iterator[tuple[str, str]]:
        """Yield the text of each step that the event ends, together with the step's details for a DEBUG line."""
        match event:
            case SessionStarted():
                yield f"starts: {event.description}", ""
            case ApiRetry():
                reason = _RETRY_REASONS.get(event.reason, event.description)
                yield f"waits: {reason}, attempt {event.attempt}", ""
            case Compaction():
                yield "summarizes the conversation so far, to free space in its context", ""
            case Text(role="assistant") if event.text:
                self.current_activity = "writes"
                yield f"says: {shorten(event.text)}", event.text
            case Thinking() if self._last_step != "thinks":
                self.current_activity = "thinks"
                yield "thinks", ""
            case ToolUse():
                description = describe_call(event)
                self.current_activity = self._plain(description)
                self._calls.open(event, _OpenCall(event, description, now))
            case ToolResult():
                yield from self._close(event, now)

    def _close(self, result: ToolResult, now: float) -> Iterator[tuple[str, str]]:
        self.current_activity = "waits for the model"
        call = self._calls.close(result)
        if call is None:
            yield "continues", f"{{}} → {_output(result)}" if self.in_detail else ""
            return
        seconds = f" ({now - call.started_at:.0f} s)" if now - call.started_at >= _SLOW_SECONDS else ""
        detail = f"{json_text(call.use.input, indent=None)} → {_output(result)}" if self.in_detail else ""
        yield f"{call.description}{describe_result(call.use, result)}{seconds}", detail

    def _paced(self, text: str) -> Iterator[LogLine]:
        """Yield the line, or skip it if there have been many lines. A skipped line is yielded at DEBUG only."""
        self._last_step = text
        stride = 2 ** max(0, (self._logged - _EACH_LOGGED) // _LINES_PER_STRIDE + 1)
        if self._logged >= _EACH_LOGGED and self._skipped + 1 < stride:
            self._skipped += 1
            yield from [LogLine(text, logging.DEBUG)] if self.in_detail else []
            return
        skipped = f"({self._skipped:,} steps skipped) " if self._skipped else ""
        self._logged, self._skipped = self._logged + 1, 0
        yield LogLine(f"{skipped}{text}")

    def _plain(self, text: str) -> str:
        for prefix in self.prefixes:
            text = text.replace(prefix, "")
        return shorten(text, _DETAIL_MAX)


def _output(result: ToolResult) -> str:
    return json_text(result.content, indent=None)
