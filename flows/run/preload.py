"""Loads what a run needs a moment later, while it waits for a server or a program: saves a second on two processors."""

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

_FOR_THE_TASKS: Final = ("prefect.task_engine", "prefect.utilities.visualization")
_FOR_THE_AGENT: Final = ("flows.model.meter", "genai_prices.data", "flows.model.gateway")


@cache
def preload() -> None:
    """Start to load what the run needs until its agent starts, and the claude binary; a second call does nothing."""
    _beside(_load_binary, *_imports(_FOR_THE_TASKS), _load_aws, *_imports(_FOR_THE_AGENT), _load_ca_certificates)


@cache
def preload_end() -> None:
    """Start to load what the run needs when its agent is done; a second call does nothing."""
    _beside(_load_detectors, _load_page)


def _beside(*loads: Callable[[], object]) -> None:
    def load() -> None:
        for each in loads:
            with suppress(Exception):  # the caller that needs it gets the error
                each()

    Thread(target=load, name="preload", daemon=True).start()


def _imports(names: Iterable[str]) -> Iterator[Callable[[], object]]:
    return (partial(importlib.import_module, name) for name in names)


def _load_binary() -> None:
    descriptor = os.open(binary(), os.O_RDONLY)
    # Of a new container's image nothing is in memory yet. macOS has no such call.
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
    os.close(descriptor)


def _load_aws() -> None:
    importlib.import_module("boto3")
    load_models("secretsmanager", "s3")


def _load_ca_certificates() -> None:
    from flows.model.upstream import ca_certificates  # noqa: PLC0415 (here and below: the import is the point)

    ca_certificates()


def _load_detectors() -> None:
    from flows.checks.leaks import looks_like_secret  # noqa: PLC0415

    looks_like_secret("")


def _load_page() -> None:
    from flows.reporting.transcript.page import page  # noqa: PLC0415

    page(Path(os.devnull), "", {})
