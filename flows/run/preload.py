"""Loads the modules and files that a run needs next, while the run waits for a server or a program.

On a machine with two processors this saves a second.
"""

import importlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from threading import Thread
from typing import Final

from flows.agent.command import binary
from flows.aws.session import load_models

_FOR_THE_TASKS: Final = ("prefect.task_engine", "prefect.utilities.visualization", "boto3")
_FOR_THE_AGENT: Final = ("flows.model.meter", "genai_prices.data", "flows.model.gateway")


@cache
def preload() -> None:
    """Start a thread that loads what the run needs before the agent starts, and the claude binary.

    A second call does nothing.
    """
    _run_in_thread(
        _load_binary,
        *_imports(_FOR_THE_TASKS),
        partial(load_models, "secretsmanager", "s3"),
        *_imports(_FOR_THE_AGENT),
        _load_ca_certificates,
    )


@cache
def preload_for_end() -> None:
    """Start a thread that loads what the run needs after the agent has finished. A second call does nothing."""
    _run_in_thread(_load_page)


def _run_in_thread(*loads: Callable[[], object]) -> None:
    def run() -> None:
        for load in loads:
            with suppress(Exception):  # the code that needs the module or file raises the error again
                load()

    Thread(target=run, name="preload", daemon=True).start()


def _imports(names: Iterable[str]) -> Iterator[Callable[[], object]]:
    return (partial(importlib.import_module, name) for name in names)


def _load_binary() -> None:
    descriptor = os.open(binary(), os.O_RDONLY)
    # In a new container no file of the image is in memory yet. macOS lacks this call.
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
    os.close(descriptor)


def _load_ca_certificates() -> None:
    from flows.certificates import ca_certificates  # noqa: PLC0415 (here and below: this thread does the import)

    ca_certificates()


def _load_page() -> None:
    from flows.reporting.transcript.page import render_page  # noqa: PLC0415

    render_page(Path(os.devnull), "", {})
