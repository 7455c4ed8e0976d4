"""Shortens the start and the end of the processes that import Prefect, such as `python -m flows`."""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from threading import Thread
from typing import Final

_EVENTS_SECONDS: Final = 2


@contextmanager
def importing() -> Iterator[None]:
    """Keep the garbage collector from ever scanning the objects of modules that are imported in this context.

    Importing Prefect creates some 190,000 objects. Scanning them repeatedly takes a quarter of the import's time, and
    the scan at the end of the process takes as long again.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        atexit.register(gc.freeze)


def end_without_heartbeats() -> None:
    """Let a flow end without waiting for Prefect's heartbeat thread, which sleeps for a second at a time.

    The thread is a daemon. When it wakes up it does nothing, because the state of the run is final at that time.
    """
    from prefect import flow_engine  # noqa: PLC0415 (`python -m flows --help` does not need it)

    # Prefect has no public setting for this.
    flow_engine._send_heartbeats = partial(flow_engine._send_heartbeats, join_on_exit=False)  # noqa: SLF001


def send_events() -> None:
    """Wait at most 2 s until the last events are sent. Otherwise Prefect would log warnings about unsent events."""
    from prefect.events.worker import EventsWorker  # noqa: PLC0415

    thread = Thread(target=EventsWorker.instance().wait_until_empty, daemon=True)
    thread.start()
    thread.join(_EVENTS_SECONDS)
