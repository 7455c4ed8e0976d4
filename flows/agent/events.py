"""Claude Code's event stream (`--output-format stream-json`): bytes to lines, lines to events.

Pure. The form is that of https://docs.claude.com/en/docs/claude-code/headless; whatever is not understood is kept in
the transcript and passed over here, because new kinds of event appear with new versions.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

MAX_LINE_BYTES: Final = 64 * 2**20
"""A longer line is not parsed: no event is as large, and memory is not the agent's to fill."""


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


def last_words(transcript: bytes) -> tuple[Event, str]:
    """Return the last result event of a transcript's end, empty where there is none, and the last text there."""
    events = [parse(line) for line in transcript.split(b"\n")]
    results = [event for event in events if event.get("type") == "result"]
    replies = [block for event in events if event.get("type") == "assistant" for block in blocks(event)]
    texts = [block["text"] for block in replies if block.get("text") and isinstance(block["text"], str)]
    return (results[-1] if results else {}), (texts[-1] if texts else "")


def blocks(event: Event) -> Iterator[Event]:
    """Yield the blocks of an event's message, of one that has any."""
    message = event.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    yield from (block for block in content if isinstance(block, dict)) if isinstance(content, list) else ()
