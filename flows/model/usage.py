"""Reads the token usage from a reply of the model while the reply passes through the gateway.

A reply has one of three formats: one JSON message; server-sent events
(https://docs.claude.com/en/docs/build-with-claude/streaming); or the AWS event stream of InvokeModelWithResponseStream,
whose frames hold the same events in base64 (https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html).
"""

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

from flows.model.provider_error import ProviderError, error_of_event

_USAGE: Final = b'"usage"'
_ERROR: Final = b'"error"'
_MAX_BYTES: Final = 64 * 2**20
"""The most bytes of an incomplete line or message that are kept in memory. No real line or message is that long."""

Usage = Mapping[str, Any]
"""The type of the `usage` object of Anthropic's API: the counts of input, output and cached tokens."""

INPUT_COUNTS: Final = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
"""The counts that together are all input tokens. `cache_creation` divides the last one by the lifetime in the cache,
which is five minutes or an hour."""


class UsageReader:
    """Reads the token counts of one reply from the bytes of the reply."""

    def __init__(self, events: "_Events") -> None:
        self._events = events
        self._usage: dict[str, Any] = {}
        self._is_damaged = False
        self.is_final = False
        """Whether `usage` is complete, because it comes from the last event of the reply."""
        self.size = 0
        """The size of the reply so far, in bytes."""
        self.error: ProviderError | None = None
        """The error that the reply itself reports, such as an overload or a refusal; None if it reports none."""

    @property
    def usage(self) -> Usage:
        """The token counts that the reply has contained so far; empty if there were none, as in an error."""
        return self._usage

    def feed(self, chunk: bytes) -> None:
        """Read the next chunk of the reply. From a damaged chunk on, nothing more is read. This method never raises."""
        self.size += len(chunk)
        if self._is_damaged:
            return
        try:
            for event in self._events.feed(chunk):
                self._read(event)
        except Exception:  # noqa: BLE001 (the agent receives a damaged reply as the provider sent it)
            self._is_damaged, self.is_final = True, False

    def _read(self, text: bytes) -> None:
        if not _matters(text):
            return
        try:
            event = json.loads(text)
        except ValueError:
            return
        if not isinstance(event, dict):
            return
        self.error = error_of_event(event) or self.error
        message = event.get("message") if event.get("type") == "message_start" else event
        usage = message.get("usage") if isinstance(message, dict) else None
        if isinstance(usage, dict):
            # The last event may omit numbers that the first event contained.
            self._usage.update({name: value for name, value in usage.items() if value is not None})
            self.is_final = event.get("type") in {"message", "message_delta"}


def _matters(text: bytes) -> bool:
    """Return whether a text can hold usage or an error. The model's words cannot match: quotation marks are escaped."""
    return _USAGE in text or _ERROR in text


def usage_reader(content_type: str) -> UsageReader:
    """Return a reader for a reply of this content type."""
    if content_type.startswith("text/event-stream"):
        return UsageReader(_ServerSentEvents())
    if content_type.startswith("application/vnd.amazon.eventstream"):
        return UsageReader(_AwsEventStream())
    return UsageReader(_OneMessage())


class _Events(Protocol):
    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take the next chunk of a reply, and yield the events that the chunk completes, as JSON text."""


class _ServerSentEvents:
    """Finds events in a reply of server-sent events. For speed, only chunks that can hold usage or errors are split."""

    def __init__(self) -> None:
        self._unfinished: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        complete, newline, rest = chunk.rpartition(b"\n")
        if not newline:
            if self._size <= _MAX_BYTES:
                self._unfinished.append(rest)
                self._size += len(rest)
            return
        lines = b"".join((*self._unfinished, complete))
        self._unfinished, self._size = [rest], len(rest)
        if _matters(lines):
            yield from (line[5:] for line in lines.split(b"\n") if line.startswith(b"data:"))


class _AwsEventStream:
    """Finds events in an AWS event stream. botocore checks lengths and checksums and buffers a frame (up to 24 MiB)."""

    def __init__(self) -> None:
        from botocore.eventstream import EventStreamBuffer  # noqa: PLC0415 (only Bedrock runs need botocore)

        self._frames = EventStreamBuffer()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        self._frames.add_data(chunk)
        frames: Iterator[Any] = self._frames
        for frame in frames:
            with suppress(ValueError):  # a payload need not be JSON
                payload = json.loads(frame.payload or b"{}")
                if isinstance(payload, dict) and isinstance(payload.get("bytes"), str):
                    yield b64decode(payload["bytes"])
                elif frame.headers.get(":message-type") in {"exception", "error"}:
                    yield _error_event(frame.headers, payload)


def _error_event(headers: Mapping[str, Any], payload: object) -> bytes:
    """Return an exception that AWS sent as a frame, in the format of an error event of Anthropic's API."""
    kind = headers.get(":exception-type") or headers.get(":error-code") or ""
    message = payload.get("message") if isinstance(payload, dict) else headers.get(":error-message")
    return json.dumps({"type": "error", "error": {"type": str(kind), "message": str(message or "")}}).encode()


class _OneMessage:
    """Buffers a reply of one JSON message until the message may be complete. A message over 64 MiB is not read."""

    def __init__(self) -> None:
        self._text = b""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        if len(self._text) > _MAX_BYTES:
            return
        self._text += chunk
        if self._text.rstrip().endswith(b"}"):
            yield self._text
