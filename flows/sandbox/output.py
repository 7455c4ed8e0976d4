"""Logs the output of a command as it comes: redacted, in lines, and at most so many of them."""

import time
from collections.abc import Callable, Iterator
from typing import Final

from flows.text_safety import sanitize

_MAX_LINES: Final = 500
_MAX_CHARACTERS: Final = 100_000
_LINE_CHARACTERS: Final = 500
_PENDING_BYTES: Final = 2**18
"""The longest line that is redacted as one text."""

_BATCH_SECONDS: Final = 0.5
"""Output is redacted in batches, because a secret may have several lines."""

_TAIL_BYTES: Final = 2**15
_TAIL_LINES: Final = 20
_TAIL_CHARACTERS: Final = 2_000


class OutputLog:
    """Takes the output of one command, and passes its lines on to a log.

    Args:
        log: Called with each line. It is called at most `_MAX_LINES` times, and once to say that the rest is left out.
    """

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._pending = b""
        self._pending_since = time.monotonic()
        self._tail = b""
        self._lines = 0
        self._characters = 0

    def write(self, data: bytes) -> None:
        """Take a part of the output. An empty part lets lines be logged that came a moment ago."""
        if data:
            self._tail = (self._tail + data)[-_TAIL_BYTES:]
        if self.is_full:
            return
        if not self._pending:
            self._pending_since = time.monotonic()
        self._pending += data
        is_late = time.monotonic() - self._pending_since > _BATCH_SECONDS
        if len(self._pending) > _PENDING_BYTES:
            self._flush(len(self._pending))
        elif is_late and (end := self._pending.rfind(b"\n") + 1):
            self._flush(end)

    def close(self) -> None:
        """Log what is left. The output has ended."""
        self._flush(len(self._pending))

    @property
    def last_lines(self) -> str:
        """The last lines of the output, redacted."""
        return self.end(_TAIL_LINES, _TAIL_CHARACTERS)

    def end(self, max_lines: int, max_characters: int) -> str:
        """Return the last lines of the output, redacted: at most so many lines and characters."""
        tail = self._tail
        if len(tail) == _TAIL_BYTES:
            tail = tail.partition(b"\n")[2] or tail
        lines = [line[:_LINE_CHARACTERS] for line in _lines(tail)]
        return "\n".join(lines[-max_lines:])[-max_characters:]

    @property
    def is_full(self) -> bool:
        """Whether so many lines are logged that the rest is left out."""
        return self._lines > _MAX_LINES

    def _flush(self, end: int) -> None:
        batch, self._pending = self._pending[:end], self._pending[end:]
        self._pending_since = time.monotonic()
        for line in _lines(batch):
            if self.is_full:
                return
            self._lines += 1
            self._characters += len(line)
            if self._lines > _MAX_LINES or self._characters > _MAX_CHARACTERS:
                self._lines, self._pending = _MAX_LINES + 1, b""
                self._log("the rest of the output is not logged")
                return
            self._log(line if len(line) <= _LINE_CHARACTERS else f"{line[:_LINE_CHARACTERS]}…")


def _lines(output: bytes) -> Iterator[str]:
    """Yield the lines of an output, redacted. Of a line that was written several times over, only the last is left."""
    rows = (row.rstrip(b"\r").rpartition(b"\r")[2] for row in output.split(b"\n"))
    text = sanitize(b"\n".join(rows).decode("utf-8", "replace"))
    yield from (line.rstrip() for line in text.split("\n") if line.strip())
