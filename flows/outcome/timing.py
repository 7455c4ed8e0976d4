"""Timing of a run's steps, recorded as they happen.

Prefect's server learns of the last step only after the run has ended: too late for the report and for a terminal.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

LOGGER: Final = logging.getLogger("flows.steps")
"""Logs `BEGINS` and `DONE` for each step, and the step's current activity in between. A record's `task_name` is the
step's name, as in Prefect's own records."""
BEGINS: Final = "begins"
DONE: Final = "is done"


@dataclass(frozen=True)
class StepTime:
    """The time that one step has taken so far, over all its attempts in this process."""

    name: str
    state: str
    """Completed, Failed, or Running."""
    seconds: float
    attempts: int


class StepTimes:
    """The times of a run's steps so far, in the order in which the steps began.

    It is not a dictionary: Prefect iterates over every dictionary in a task's arguments, and fails if another task adds
    to one at the same time.
    """

    def __init__(self) -> None:
        self._times: dict[str, StepTime] = {}

    def begin(self, name: str) -> StepTime:
        """Return the step's time before its next attempt; a new step is added, with no time yet."""
        return self._times.setdefault(name, StepTime(name, "Running", 0, 0))

    def record(self, step: StepTime) -> None:
        """Replace the step's time."""
        self._times[step.name] = step

    def all(self) -> tuple[StepTime, ...]:
        """Return a copy of the current times."""
        return tuple(self._times.values())


_STEPS: Final[ContextVar[StepTimes | None]] = ContextVar("steps", default=None)


def record_steps() -> StepTimes:
    """Start to record. `timed` adds to the returned times in this context and in threads that run in a copy of it."""
    steps = StepTimes()
    _STEPS.set(steps)
    return steps


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Record one attempt of a step."""
    start, state = time.monotonic(), "Failed"
    steps = _STEPS.get() or StepTimes()
    previous = steps.begin(name)
    LOGGER.info(BEGINS, extra={"task_name": name})
    try:
        yield
        state = "Completed"
        LOGGER.info(DONE, extra={"task_name": name})
    finally:
        seconds = previous.seconds + time.monotonic() - start
        steps.record(StepTime(name, state, seconds, previous.attempts + 1))
