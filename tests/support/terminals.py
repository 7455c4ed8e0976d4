"""A pseudo-terminal for a program under test: it records what a person would see, and can press Ctrl-C."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).parents[2]
# Background processes of a shell ignore Ctrl-C, and so do their children; a program at a terminal does not.
_ON_A_TERMINAL = """
import os, pty, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))
"""


class Terminal:
    """A program that runs at its own terminal; `seen` is everything it has printed."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process, self.pid = process, process.pid
        self.seen = ""

    def wait_for(self, text: str, seconds: float = 60) -> None:
        """Read output until it contains the text."""
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
        """Send key presses."""
        assert self._process.stdin is not None
        self._process.stdin.write(keys)
        self._process.stdin.flush()

    def wait_for_exit(self, seconds: float = 60) -> int:
        """Read output until the program exits; return its exit status."""
        deadline = time.monotonic() + seconds
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        while (status := self._process.poll()) is None:
            assert time.monotonic() < deadline, f"the program does not exit:\n{self.screen()}"
            self.seen += (self._process.stdout.read() or b"").decode("utf-8", "replace")
            time.sleep(0.05)
        self.seen += (self._process.stdout.read() or b"").decode("utf-8", "replace")
        return status


@contextmanager
def terminal(*command: str, variables: Mapping[str, str]) -> Iterator[Terminal]:
    """Run a Python program of this project at a terminal that is 120 columns wide."""
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
