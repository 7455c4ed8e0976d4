"""How many tokens a reply of the model took, read from the reply as it passes by.

Three forms: one JSON message; server-sent events (https://docs.claude.com/en/docs/build-with-claude/streaming); and the
AWS event stream of InvokeModelWithResponseStream, whose chunks hold the same events in base64.
"""

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

from flows.claude.events import LineFramer

_USAGE: Final = b'"usage"'
_MAX_JSON_BYTES: Final = 64 * 2**20

Usage = Mapping[str, Any]
"""The `usage` object of Anthropic's API: input, output and cached tokens."""


class UsageReader:
    """Reads the usage of one reply."""

    def __init__(self, events: "_Events") -> None:
        self._events = events
        self._usage: dict[str, Any] = {}
        self.is_final = False
        """Whether the reply said its last word on it."""
        self.size = 0
        """Bytes of the reply so far."""

    @property
    def usage(self) -> Usage:
        """What the reply said so far; empty where it said nothing, as an error does."""
        return self._usage

    def feed(self, part: bytes) -> None:
        """Take the next part of the reply."""
        self.size += len(part)
        for event in self._events.feed(part):
            self._take(event)

    def _take(self, text: bytes) -> None:
        # Most events are pieces of text; a quotation mark in those is escaped, so this passes over them.
        if _USAGE not in text:
            return
        try:
            event = json.loads(text)
        except ValueError:
            return
        if not isinstance(event, dict):
            return
        message = event.get("message") if event.get("type") == "message_start" else event
        usage = message.get("usage") if isinstance(message, dict) else None
        if isinstance(usage, dict):
            # The last event repeats the first one's numbers, or leaves them out.
            self._usage.update({name: value for name, value in usage.items() if value is not None})
            self.is_final = event.get("type") in {"message", "message_delta"}


def usage_reader(content_type: str) -> UsageReader:
    """Return the reader for a reply of this content type."""
    if content_type.startswith("text/event-stream"):
        return UsageReader(_ServerSentEvents())
    if content_type.startswith("application/vnd.amazon.eventstream"):
        return UsageReader(_AwsEventStream())
    return UsageReader(_OneMessage())


class _Events(Protocol):
    def feed(self, part: bytes) -> Iterator[bytes]:
        """Yield the events that `part` completes, as JSON."""


class _ServerSentEvents:
    def __init__(self) -> None:
        self._lines = LineFramer()

    def feed(self, part: bytes) -> Iterator[bytes]:
        for line in self._lines.feed(part):
            if line.startswith(b"data:"):
                yield line[5:]


class _AwsEventStream:
    def __init__(self) -> None:
        from botocore import eventstream  # noqa: PLC0415 (only Bedrock runs pay for botocore)

        self._frames, self._broken = eventstream.EventStreamBuffer(), (eventstream.ParserError, ValueError)

    def feed(self, part: bytes) -> Iterator[bytes]:
        self._frames.add_data(part)
        # Whoever reads the stream is to find out by himself that it is broken.
        with suppress(*self._broken):
            for frame in self._frames:
                chunk = json.loads(frame.payload or b"{}")
                if isinstance(chunk, dict) and isinstance(chunk.get("bytes"), str):
                    yield b64decode(chunk["bytes"])


class _OneMessage:
    def __init__(self) -> None:
        self._text = b""

    def feed(self, part: bytes) -> Iterator[bytes]:
        self._text += part
        if len(self._text) <= _MAX_JSON_BYTES and self._text.rstrip().endswith(b"}"):
            yield self._text
