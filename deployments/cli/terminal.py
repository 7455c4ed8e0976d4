"""The consoles that the commands print to."""

import sys

from rich.console import Console

_WIDTH = None if sys.stdout.isatty() else 120


def console() -> Console:
    """Return the console for a command's output: the current standard output."""
    return Console(highlight=False, width=_WIDTH)


def error_console() -> Console:
    """Return the console for errors: the current standard error."""
    return Console(stderr=True, highlight=False, width=_WIDTH)
