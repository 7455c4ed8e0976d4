"""The times of a run's steps, recorded as they happen.

Prefect's server learns of the last step a moment after the run's end: too late for the report and for a terminal.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

LOGGER: Final = logging.getLogger("flows.steps")
"""Logs `BEGINS` and `DONE` of each step, and what a step does now. `task_name` of a record is the step's name, as in
Prefect's own records."""
BEGINS: Final = "begins"
DONE: Final = "is done"


@dataclass(frozen=True)
class StepTime:
    """The time of one step so far, over all its attempts in this process."""

    name: str
    state: str
    """Completed, Failed, or Running."""
    seconds: float
    attempts: int


_STEPS: Final[ContextVar[dict[str, StepTime] | None]] = ContextVar("steps", default=None)


def record_steps() -> dict[str, StepTime]:
    """Start to record; return the steps by name, to which `timed` adds in this context and in its threads."""
    steps = dict[str, StepTime]()
    _STEPS.set(steps)
    return steps


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Record one attempt of a step."""
    start, state = time.monotonic(), "Failed"
    steps = {} if (recorded := _STEPS.get()) is None else recorded
    before = steps.setdefault(name, StepTime(name, "Running", 0, 0))
    LOGGER.info(BEGINS, extra={"task_name": name})
    try:
        yield
        state = "Completed"
        LOGGER.info(DONE, extra={"task_name": name})
    finally:
        steps[name] = StepTime(name, state, before.seconds + time.monotonic() - start, before.attempts + 1)
