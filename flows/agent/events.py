"""Claude Code's event stream (`--output-format stream-json`): bytes to lines, lines to JSON objects.

Pure. The format is that of https://docs.claude.com/en/docs/claude-code/headless; `flows.agent.typed_events` gives the
objects their types.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

MAX_LINE_BYTES: Final = 64 * 2**20
"""A longer line is not parsed: no event is as large, and the agent must not fill this process's memory."""

JsonObject = Mapping[str, Any]


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
        """Return what is in the buffer, and empty it."""
        line = b"".join(self._parts) if self._size <= self._limit else b""
        self._parts, self._size = [], 0
        return line

    def _add(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= self._limit:
            self._parts.append(part)
        else:
            self._parts.clear()


def parse(line: bytes) -> JsonObject:
    """Return the JSON object on a line; an empty one if there is none."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        value = _parse_leniently(line)
    return value if isinstance(value, dict) else {}


def _parse_leniently(line: bytes) -> Any:  # noqa: ANN401 (JSON)
    """Parse a line with half a surrogate pair, a NaN or a number out of range in it; return None if it is not JSON."""
    try:
        return json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def json_text(value: object, indent: int | None = 1) -> str:
    """Return a text as it is, and any other JSON value as JSON."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent)
    except (ValueError, RecursionError):  # what can be read need not be writable
        return "[nested too deeply to be shown]"
