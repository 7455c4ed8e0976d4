"""The transcript of an agent's event stream, read a portion at a time: it may be larger than the memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from flows.agent.event_parser import read_events
from flows.agent.event_types import Event, Result, Text
from flows.agent.events import MAX_LINE_BYTES

_PORTION_BYTES: Final = 2**20


def portions(path: Path) -> Iterator[bytes]:
    """Yield the file in portions that end where a line ends, so that no secret is cut in two; nothing without a file.

    A line longer than any event is cut all the same.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        held = b""
        while block := file.read(_PORTION_BYTES):
            held += block
            end = held.rfind(b"\n") + 1 or (len(held) if len(held) > MAX_LINE_BYTES else 0)
            if end:
                yield held[:end]
                held = held[end:]
        if held:
            yield held


def events(path: Path) -> Iterator[Event]:
    """Yield the events of a transcript, one line in memory at a time."""
    with path.open("rb") as lines:
        for line in lines:
            if len(line) <= MAX_LINE_BYTES:
                yield from read_events(line)


def last_words(transcript: bytes) -> tuple[Result, str]:
    """Return the last result in the end of a transcript, an empty one if there is none, and the model's last text."""
    result, text = Result(), ""
    for line in transcript.split(b"\n"):
        for event in read_events(line):
            match event:
                case Result():
                    result = event
                case Text(role="assistant") if event.text:
                    text = event.text
    return result, text
