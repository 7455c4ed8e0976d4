"""Splits Claude Code's event stream (`--output-format stream-json`) into lines, and parses the lines as JSON objects.

The format is described at https://docs.claude.com/en/docs/claude-code/headless. `flows.agent.event_parser` turns the
JSON objects into typed events.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

MAX_LINE_BYTES: Final = 64 * 2**20
"""The most bytes of a line that are parsed. No real event is longer; the limit protects this process's memory."""

JsonObject = Mapping[str, Any]


class LineFramer:
    """Splits a stream of bytes into lines. A line longer than the limit becomes an empty line."""

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._chunks: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes of the stream, and yield the lines that they complete."""
        *line_ends, rest = data.split(b"\n")
        for line_end in line_ends:
            self._add(line_end)
            yield self.rest()
        self._add(rest)

    def rest(self) -> bytes:
        """Return the bytes of the unfinished line, and clear the buffer that holds them."""
        line = b"".join(self._chunks) if self._size <= self._limit else b""
        self._chunks, self._size = [], 0
        return line

    def _add(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size <= self._limit:
            self._chunks.append(chunk)
        else:
            self._chunks.clear()


def parse(line: bytes) -> JsonObject:
    """Return the JSON object on a line; an empty object if the line holds anything else."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        # The standard library also accepts half of a surrogate pair, NaN, and numbers out of range.
        try:
            value = json.loads(line.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def json_text(value: object, indent: int | None = 1) -> str:
    """Return a string as it is, and any other value as JSON text."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent)
    except (ValueError, RecursionError):  # not every value that can be parsed can be serialized
        return "[nested too deeply to be shown]"
