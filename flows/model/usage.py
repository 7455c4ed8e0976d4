"""How many tokens a reply of the model took, read from the reply as it passes by.

Three forms: one JSON message; server-sent events (https://docs.claude.com/en/docs/build-with-claude/streaming); and the
AWS event stream of InvokeModelWithResponseStream, whose chunks hold the same events in base64.
"""

import json
import re
import struct
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol
from zlib import crc32

MAX_LINE_BYTES: Final = 64 * 2**20
"""A longer line is not read: no event is as large."""

_USAGE: Final = b'"usage"'
_MAX_JSON_BYTES: Final = 64 * 2**20
_MAX_FRAME_BYTES: Final = 25 * 2**20
_LENGTHS: Final = struct.Struct(">II")
_PRELUDE_BYTES: Final = 12
_CHECKSUM_BYTES: Final = 4
_BEGINS: Final = re.compile(rb'"bytes"\s*:\s*"([A-Za-z0-9+/]{64})')
_TEXT: Final = b'"content_block_delta"'

Usage = Mapping[str, Any]
"""The `usage` object of Anthropic's API: input, output and cached tokens."""


class UsageReader:
    """Reads the usage of one reply."""

    def __init__(self, events: "_Events") -> None:
        self._events = events
        self._usage: dict[str, Any] = {}
        self._is_damaged = False
        self.is_final = False
        """Whether the reply said its last word on it."""
        self.size = 0
        """Bytes of the reply so far."""

    @property
    def usage(self) -> Usage:
        """What the reply said so far; empty where it said nothing, as an error does."""
        return self._usage

    def feed(self, part: bytes) -> None:
        """Take the next part of the reply. One that is damaged ends the count, and not the reply."""
        self.size += len(part)
        if self._is_damaged:
            return
        try:
            for event in self._events.feed(part):
                self._take(event)
        except Exception:  # noqa: BLE001 (whatever a reply holds, the agent gets it as it is)
            self._is_damaged, self.is_final = True, False

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
    """Cuts lines out of what has come only where one of them speaks of usage; the most of a reply is text."""

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._size = 0

    def feed(self, part: bytes) -> Iterator[bytes]:
        ended, newline, rest = part.rpartition(b"\n")
        if not newline:
            self._hold(rest)
            return
        lines = b"".join((*self._held, ended))
        self._held, self._size = [rest], len(rest)
        if _USAGE in lines:
            yield from (line[5:] for line in lines.split(b"\n") if line.startswith(b"data:"))

    def _hold(self, rest: bytes) -> None:
        if self._size <= MAX_LINE_BYTES:
            self._held.append(rest)
            self._size += len(rest)


class _AwsEventStream:
    """Walks from frame to frame by their lengths, and unpacks those that are not one more piece of text.

    The form is https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html. Of the others, the checksum is for
    the reader to check.
    """

    def __init__(self) -> None:
        self._held = bytearray()
        self._is_broken = False

    def feed(self, part: bytes) -> Iterator[bytes]:
        if self._is_broken:
            return
        self._held += part
        at = 0
        while len(self._held) - at >= _PRELUDE_BYTES:
            size, headers = _LENGTHS.unpack_from(self._held, at)
            if not headers + _PRELUDE_BYTES + _CHECKSUM_BYTES <= size <= _MAX_FRAME_BYTES:
                self._is_broken = True
                break
            if len(self._held) - at < size:
                break
            frame = bytes(self._held[at : at + size])
            at += size
            if event := _unpacked(frame[_PRELUDE_BYTES + headers : -_CHECKSUM_BYTES]):
                if self._is_damaged(frame):
                    break
                yield event
        del self._held[:at]

    def _is_damaged(self, frame: bytes) -> bool:
        self._is_broken = crc32(frame[:-_CHECKSUM_BYTES]) != int.from_bytes(frame[-_CHECKSUM_BYTES:], "big")
        return self._is_broken


def _unpacked(payload: bytes) -> bytes:
    """Return a frame's event; nothing for a piece of text, which its first words give away, or for no event."""
    begins = _BEGINS.search(payload)
    if begins and _TEXT in b64decode(begins[1]):
        return b""
    with suppress(ValueError):
        chunk = json.loads(payload or b"{}")
        if isinstance(chunk, dict) and isinstance(chunk.get("bytes"), str):
            return b64decode(chunk["bytes"])
    return b""


class _OneMessage:
    def __init__(self) -> None:
        self._text = b""

    def feed(self, part: bytes) -> Iterator[bytes]:
        self._text += part
        if len(self._text) <= _MAX_JSON_BYTES and self._text.rstrip().endswith(b"}"):
            yield self._text
