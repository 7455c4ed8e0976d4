"""Shortens the start and end of a process, for `python -m flows` and for `python -m flows.runtime.execute`."""

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
    """Import modules that live as long as the process. The garbage collector never scans their objects.

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
    """Let a flow end at once. Prefect would wait for its heartbeat thread, which sleeps for a second at a time.

    The thread is a daemon. It does nothing when it wakes up, because the state of the run is final at that time.
    """
    from prefect import flow_engine  # noqa: PLC0415 (`python -m flows --help` does not need it)

    # Prefect has no public setting for it.
    flow_engine._send_heartbeats = partial(flow_engine._send_heartbeats, join_on_exit=False)  # noqa: SLF001


def send_events() -> None:
    """Wait a moment until the last events are sent; otherwise Prefect's last log lines would warn about them."""
    from prefect.events.worker import EventsWorker  # noqa: PLC0415

    thread = Thread(target=EventsWorker.instance().wait_until_empty, daemon=True)
    thread.start()
    thread.join(_EVENTS_SECONDS)
