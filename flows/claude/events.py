"""Claude Code's event stream (`--output-format stream-json`): bytes to lines, lines to events, events to log lines.

Pure. The form is that of https://docs.claude.com/en/docs/claude-code/headless; whatever is not understood is kept in
the transcript and passed over here, because new kinds of event appear with new versions.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

MAX_LINE_BYTES: Final = 64 * 2**20
"""A longer line is not parsed: no event is as large, and memory is not the agent's to fill."""

_SHOWN: Final = 160
_LOOKED_AT: Final = 20 * _SHOWN
"""Characters of a text that may be megabytes; more white space than that at its beginning is its own fault."""

_NOT_SHOWN: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]+")

Event = Mapping[str, Any]


class LineFramer:
    """Cuts a stream of bytes into lines; a line over the limit comes out empty."""

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that `data` completes."""
        *ends, rest = data.split(b"\n")
        for end in ends:
            self._add(end)
            yield self.rest()
        self._add(rest)

    def rest(self) -> bytes:
        """Return what stands in the buffer, and empty it."""
        line = b"".join(self._parts) if self._size <= self._limit else b""
        self._parts, self._size = [], 0
        return line

    def _add(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= self._limit:
            self._parts.append(part)
        else:
            self._parts.clear()


def parse(line: bytes) -> Event:
    """Return a line's event; an empty one for a line that holds none."""
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        event = _parse_leniently(line)
    return event if isinstance(event, dict) else {}


def _parse_leniently(line: bytes) -> Any:  # noqa: ANN401 (JSON)
    """Return what stands in a line with half a character, or a number that is none, in it."""
    try:
        return json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def steps(event: Event) -> Iterator[str]:
    """Yield a line for a reader of the log for each thing that the agent does in this event."""
    yield from map(_one_line, _steps(event))


def _one_line(text: str) -> str:
    """Take out what could forge a line of the log, or turn it around: breaks, control and direction characters."""
    return _NOT_SHOWN.sub(" ", text).strip()


def _steps(event: Event) -> Iterator[str]:
    match event.get("type"), event.get("subtype"):
        case "system", "init":
            yield f"starts: model {event.get('model')}, Claude Code {event.get('claude_code_version')}"
        case "system", "api_retry":
            answer = event.get("error_status") or event.get("error")
            yield f"waits: the model answered {answer}, attempt {event.get('attempt')}"
        case ("assistant", _) | ("user", _):
            for block in _blocks(event):
                if step := _describe(block):
                    yield step
        case "result", _:
            yield f"ends after {event.get('num_turns')} turns"


def _blocks(event: Event) -> Iterator[Event]:
    message = event.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    yield from (block for block in content if isinstance(block, dict)) if isinstance(content, list) else ()


def _describe(block: Event) -> str:
    match block.get("type"):
        case "text":
            return f"says: {_short(block.get('text'))}" if block.get("text") else ""
        case "thinking":
            return "thinks"
        case "tool_use":
            given = block.get("input")
            return _tool(str(block.get("name")), given if isinstance(given, dict) else {})
        case "tool_result" if block.get("is_error"):
            return f"→ failed: {_short(_result_text(block.get('content')))}"
    return ""


def _tool(name: str, given: Event) -> str:
    match name:
        case "Bash":
            return f"runs {_short(given.get('command'))}"
        case "Read":
            return f"reads {_short(given.get('file_path'))}"
        case "Write":
            count = len(str(given.get("content", "")).splitlines())
            return f"writes {_short(given.get('file_path'))} ({count} line{'s' if count != 1 else ''})"
        case "Edit" | "NotebookEdit":
            return f"edits {_short(given.get('file_path') or given.get('notebook_path'))}"
        case "Task" | "Agent":
            return f"asks a subagent: {_short(given.get('description'))}"
    return f"uses {name}"


def _result_text(content: object) -> str:
    if isinstance(content, list):
        return " ".join(_text(part.get("text")) for part in content if isinstance(part, dict))
    return _text(content)


def _short(value: object) -> str:
    whole = _text(value)
    text = _one_line(whole[:_LOOKED_AT])
    is_all = len(text) <= _SHOWN and len(whole) <= _LOOKED_AT
    return text if is_all else f"{text[:_SHOWN]}… ({len(whole):,} characters)"


def _text(value: object) -> str:
    """Return text, or a number; what else may stand where text is expected can be nested deeper than can be shown."""
    return str(value or "") if isinstance(value, str | float | int | None) else "…"
