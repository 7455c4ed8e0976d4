"""Notices when the agent repeats a tool call over and over, with the same failure each time."""

import re
from dataclasses import dataclass
from typing import Final

from flows.agent.event_types import Event, ToolResult, ToolUse
from flows.agent.events import json_text
from flows.reporting.open_calls import OpenCalls
from flows.reporting.tool_calls import describe_call, describe_result

NOTICED: Final = 5
"""The number of equal failures at which the first warning is logged. Another one follows each time the number has
doubled."""

_CALLS_MAX: Final = 1000
_TAIL: Final = 4000
_VARIABLE: Final = re.compile(r"0x[0-9a-fA-F]+|\d+(\.\d+)?")
"""Matches memory addresses, times, process ids and durations, which can differ between outputs of the same failure."""

_FAILED_TESTS: Final = re.compile(r"\b[1-9]\d{0,6} (failed|failures?|errors?)\b|^FAILED\b", re.MULTILINE)


@dataclass
class _Failures:
    """How often one call has failed in the same way so far, with the output of this failure."""

    description: str
    output: str
    count: int = 1

    @property
    def text(self) -> str:
        return f"{self.count} times the same failure: {self.description}"


class RepeatedFailures:
    """Counts how often the same call fails in the same way. If it succeeds or fails differently, its count restarts."""

    def __init__(self) -> None:
        self.most = ""
        """A text: the call that failed most often in the same way, and how often; empty if none failed `NOTICED`
        times."""
        self._most_count = 0
        self._last: _Failures | None = None
        self._open: OpenCalls[ToolUse] = OpenCalls()
        self._failures: dict[str, _Failures] = {}

    @property
    def current(self) -> str:
        """A text: the latest call, and how often it failed in the same way; empty if fewer than `NOTICED` times."""
        return self._last.text if self._last and self._last.count >= NOTICED else ""

    def notice(self, event: Event) -> str:
        """Count an event. Return a text for the log if a repeated failure must be reported now; empty otherwise."""
        if isinstance(event, ToolUse):
            self._open.open(event, event)
        call = self._open.close(event) if isinstance(event, ToolResult) else None
        if call is None or not isinstance(event, ToolResult):
            return ""
        self._last = self._count(call, event)
        if self._last is None or self._last.count < NOTICED:
            return ""
        if self._last.count >= self._most_count:
            self._most_count, self.most = self._last.count, self._last.text
        doublings, rest = divmod(self._last.count, NOTICED)
        return self._last.text if not rest and not doublings & (doublings - 1) else ""

    def _count(self, call: ToolUse, result: ToolResult) -> _Failures | None:
        key = f"{call.name} {json_text(call.input, indent=None)}"
        earlier = self._failures.pop(key, None)
        if not _has_failed(call, result):
            return None
        output = _VARIABLE.sub("0", result.text[-_TAIL:])
        if earlier and earlier.output == output:
            earlier.count += 1
            failures = earlier
        else:
            failures = _Failures(f"{describe_call(call)}{describe_result(call, result)}", output)
        self._failures[key] = failures
        if len(self._failures) > _CALLS_MAX:
            del self._failures[next(iter(self._failures))]
        return failures


def _has_failed(call: ToolUse, result: ToolResult) -> bool:
    """Return whether the call failed.

    The output of a command is searched too, because the exit status of failed tests is lost in a pipe.
    """
    return result.is_error or (call.name == "Bash" and _FAILED_TESTS.search(result.text[-_TAIL:]) is not None)
