"""A pseudo-terminal for a program under test: what a person's terminal would receive, and Ctrl-C."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).parents[2]
# What a shell starts in the background ignores Ctrl-C, and so does all that it starts; what is at a terminal does not.
_ON_A_TERMINAL = """
import os, pty, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))
"""


class Terminal:
    """A program at a terminal of its own; `seen` is all that it printed."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process, self.pid = process, process.pid
        self.seen = ""

    def wait_for(self, text: str, seconds: float = 60) -> None:
        """Read until the text is there."""
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < deadline, f"no {text!r} in:\n{self.screen()}"
            self.seen += (self._process.stdout.read() or b"").decode("utf-8", "replace")
            time.sleep(0.05)

    def screen(self) -> str:
        """Return the printed text without colours and without redrawn frames."""
        plain = re.sub(r"\x1b\[[\d;?]*[A-JL-Za-z]", "", self.seen.rpartition("\x1b[2K")[2])
        return plain.replace("\r", "")

    def press(self, keys: bytes) -> None:
        """Type."""
        assert self._process.stdin is not None
        self._process.stdin.write(keys)
        self._process.stdin.flush()

    def end(self, seconds: float = 60) -> int:
        """Read to the program's end; return its exit status."""
        deadline = time.monotonic() + seconds
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        while (status := self._process.poll()) is None:
            assert time.monotonic() < deadline, f"it does not end:\n{self.screen()}"
            self.seen += (self._process.stdout.read() or b"").decode("utf-8", "replace")
            time.sleep(0.05)
        self.seen += (self._process.stdout.read() or b"").decode("utf-8", "replace")
        return status


@contextmanager
def terminal(*command: str, variables: Mapping[str, str]) -> Iterator[Terminal]:
    """Run a Python program of this project at a terminal of 120 columns."""
    process = subprocess.Popen(
        [sys.executable, "-c", _ON_A_TERMINAL, sys.executable, *command],
        env={**os.environ, "PYTHONPATH": str(PROJECT), "TERM": "xterm-256color", "COLUMNS": "120", **variables},
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield Terminal(process)
    finally:
        process.kill()
        process.wait()
