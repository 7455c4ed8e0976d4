"""Creates the consoles to which the commands print."""

import sys

from rich.console import Console

_WIDTH = None if sys.stdout.isatty() else 120


def console() -> Console:
    """Return a console that prints a command's output to the current standard output."""
    return Console(highlight=False, width=_WIDTH)


def error_console() -> Console:
    """Return a console that prints errors to the current standard error."""
    return Console(stderr=True, highlight=False, width=_WIDTH)
