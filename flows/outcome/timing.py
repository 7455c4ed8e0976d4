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


class StepTimes:
    """The times of a run's steps so far, in the order of their beginnings.

    Not a dictionary: Prefect walks through every dictionary that it finds in a task's arguments, and fails where
    another task adds to it meanwhile.
    """

    def __init__(self) -> None:
        self._times: dict[str, StepTime] = {}

    def begin(self, name: str) -> StepTime:
        """Return the time of a step before its next attempt."""
        return self._times.setdefault(name, StepTime(name, "Running", 0, 0))

    def record(self, step: StepTime) -> None:
        """Replace the time of a step."""
        self._times[step.name] = step

    def all(self) -> tuple[StepTime, ...]:
        """Return the times as they are now."""
        return tuple(self._times.values())


_STEPS: Final[ContextVar[StepTimes | None]] = ContextVar("steps", default=None)


def record_steps() -> StepTimes:
    """Start to record; return the times, to which `timed` adds in this context and in its threads."""
    steps = StepTimes()
    _STEPS.set(steps)
    return steps


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Record one attempt of a step."""
    start, state = time.monotonic(), "Failed"
    steps = _STEPS.get() or StepTimes()
    before = steps.begin(name)
    LOGGER.info(BEGINS, extra={"task_name": name})
    try:
        yield
        state = "Completed"
        LOGGER.info(DONE, extra={"task_name": name})
    finally:
        seconds = before.seconds + time.monotonic() - start
        steps.record(StepTime(name, state, seconds, before.attempts + 1))
