"""How many tokens a reply of the model took, read from the reply while it passes through the gateway.

A reply has one of three forms: one JSON message; server-sent events
(https://docs.claude.com/en/docs/build-with-claude/streaming); or the AWS event stream of InvokeModelWithResponseStream,
whose frames hold the same events in base64 (https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html).
"""

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

_USAGE: Final = b'"usage"'
_MAX_BYTES: Final = 64 * 2**20
"""Of a line or a message that is held until it is complete. None is as long."""

Usage = Mapping[str, Any]
"""The `usage` object of Anthropic's API: input, output and cached tokens."""


class UsageReader:
    """Reads the usage of one reply."""

    def __init__(self, events: "_Events") -> None:
        self._events = events
        self._usage: dict[str, Any] = {}
        self._is_damaged = False
        self.is_final = False
        """Whether `usage` is complete: the reply's last event had it."""
        self.size = 0
        """Bytes of the reply so far."""

    @property
    def usage(self) -> Usage:
        """The numbers that the reply has held so far; empty if none, as in an error."""
        return self._usage

    def feed(self, part: bytes) -> None:
        """Read the next part of the reply. After a damaged part no more is read. This never raises."""
        self.size += len(part)
        if self._is_damaged:
            return
        try:
            for event in self._events.feed(part):
                self._read(event)
        except Exception:  # noqa: BLE001 (the agent gets a damaged reply as the provider sent it)
            self._is_damaged, self.is_final = True, False

    def _read(self, text: bytes) -> None:
        # Most events are pieces of text. Quotation marks in those are escaped, so that they do not match.
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
            # The last event repeats the numbers of the first, or leaves them out.
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
    """Splits the reply into lines only where one of them may hold usage: most of a reply is text."""

    def __init__(self) -> None:
        self._unfinished: list[bytes] = []
        self._size = 0

    def feed(self, part: bytes) -> Iterator[bytes]:
        complete, newline, rest = part.rpartition(b"\n")
        if not newline:
            self._append(rest)
            return
        lines = b"".join((*self._unfinished, complete))
        self._unfinished, self._size = [rest], len(rest)
        if _USAGE in lines:
            yield from (line[5:] for line in lines.split(b"\n") if line.startswith(b"data:"))

    def _append(self, rest: bytes) -> None:
        if self._size <= _MAX_BYTES:
            self._unfinished.append(rest)
            self._size += len(rest)


class _AwsEventStream:
    """Reads each frame with botocore, which checks lengths and checksums, and holds at most one frame of 24 MiB."""

    def __init__(self) -> None:
        from botocore.eventstream import EventStreamBuffer  # noqa: PLC0415 (only Bedrock runs pay for botocore)

        self._frames = EventStreamBuffer()

    def feed(self, part: bytes) -> Iterator[bytes]:
        self._frames.add_data(part)
        for frame in self._frames:
            with suppress(ValueError):  # an exception's frame need not be JSON
                chunk = json.loads(frame.payload or b"{}")
                if isinstance(chunk, dict) and isinstance(chunk.get("bytes"), str):
                    yield b64decode(chunk["bytes"])


class _OneMessage:
    """Holds the message until it may be complete; a longer one than 64 MiB is not read."""

    def __init__(self) -> None:
        self._text = b""

    def feed(self, part: bytes) -> Iterator[bytes]:
        if len(self._text) > _MAX_BYTES:
            return
        self._text += part
        if self._text.rstrip().endswith(b"}"):
            yield self._text
