"""Reads a transcript (the file with Claude Code's event stream) in parts, because the file may not fit into memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from flows.agent.event_parser import read_events
from flows.agent.event_types import Event, Result, Text
from flows.agent.events import MAX_LINE_BYTES

_CHUNK_BYTES: Final = 2**20


def read_chunks(path: Path) -> Iterator[bytes]:
    """Yield a file in chunks of whole lines, so that no secret is split. Yield nothing if the file does not exist.

    Only a line that is longer than `MAX_LINE_BYTES`, which no real event is, may be split.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        pending = b""
        while block := file.read(_CHUNK_BYTES):
            pending += block
            end = pending.rfind(b"\n") + 1 or (len(pending) if len(pending) > MAX_LINE_BYTES else 0)
            if end:
                yield pending[:end]
                pending = pending[end:]
        if pending:
            yield pending


def events(path: Path) -> Iterator[Event]:
    """Yield the events of a transcript. Only one line at a time is held in memory."""
    with path.open("rb") as lines:
        for line in lines:
            if len(line) <= MAX_LINE_BYTES:
                yield from read_events(line)


def last_result_and_text(transcript: bytes) -> tuple[Result, str]:
    """Return the last result event and the model's last text in (the end of) a transcript; empty if absent."""
    result, text = Result(), ""
    for line in transcript.split(b"\n"):
        for event in read_events(line):
            match event:
                case Result():
                    result = event
                case Text(role="assistant") if event.text:
                    text = event.text
    return result, text
