"""What a run needs a moment later, loaded while it waits for a server or a program: a second on two processors."""

import importlib
import os
from contextlib import suppress
from functools import cache
from threading import Thread
from typing import Final

from flows.claude.command import binary

_MODULES: Final = ("boto3", "flows.claude.meter", "flows.claude.prices", "flows.claude.gateway", "detect_secrets")


@cache
def warm_up() -> None:
    """Start to load modules and the claude binary, in the background; a second call changes nothing."""
    Thread(target=_load, name="warm-up", daemon=True).start()


def _load() -> None:
    with suppress(OSError, AttributeError):  # whoever needs it says what is wrong; macOS has no such call
        descriptor = os.open(binary(), os.O_RDONLY)
        # Of a new container's image nothing is in memory yet.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
        os.close(descriptor)
    for name in _MODULES:
        with suppress(ImportError):
            importlib.import_module(name)
