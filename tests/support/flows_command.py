"""The command `python -m flows`, run as the container runs it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).parents[2]


def start(
    variables: dict[str, str], prefix: tuple[str, ...] = (), options: tuple[str, ...] = ()
) -> "subprocess.CompletedProcess[str]":
    """Run the command until it exits, with additional variables.

    A `prefix` is a program, with its arguments, that runs the command; an example is `unshare --pid --fork`.
    """
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PROCESS_REQUIREMENTS": "true", **variables}
    command = [*prefix, sys.executable, "-m", "flows", *options]
    return subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, check=False)


def last_line(text: str) -> str:
    """Return the last line that is not empty."""
    return text.strip().splitlines()[-1]
