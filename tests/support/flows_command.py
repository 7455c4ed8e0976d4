"""The command `python -m flows`, called as the container calls it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).parents[2]


def start(
    variables: dict[str, str], prefix: tuple[str, ...] = (), options: tuple[str, ...] = ()
) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end, with more variables, as an argument of `prefix` if there is one."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PROCESS_REQUIREMENTS": "true", **variables}
    command = [*prefix, sys.executable, "-m", "flows", *options]
    return subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, check=False)


def last_line(text: str) -> str:
    """Return the last line that is not empty."""
    return text.strip().splitlines()[-1]
