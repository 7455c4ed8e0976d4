"""What both ways in (`python -m flows`, `python -m flows.runtime.execute`) leave out of a process's start and end."""

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
    """Import what lives as long as the process: it is not looked through for garbage, now, later, or at the end.

    Prefect is some 190,000 objects. To look through them again and again takes a quarter of its import, and as long
    once more when the process ends.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        atexit.register(gc.freeze)


def end_without_heartbeats() -> None:
    """Have a flow end at once, where Prefect would wait for its heartbeats' thread, which sleeps a second at a time.

    The thread is a daemon, and does nothing when it wakes: the run's state is final by then.
    """
    from prefect import flow_engine  # noqa: PLC0415 (the help of `python -m flows` does without)

    flow_engine._send_heartbeats = partial(flow_engine._send_heartbeats, join_on_exit=False)  # noqa: SLF001 (no other way)


def send_events() -> None:
    """Wait a moment for the events that are still to be sent, of which Prefect would warn in the last lines."""
    from prefect.events.worker import EventsWorker  # noqa: PLC0415

    waiting = Thread(target=EventsWorker.instance().wait_until_empty, daemon=True)
    waiting.start()
    waiting.join(_EVENTS_SECONDS)
