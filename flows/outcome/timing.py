"""Records how long a run's steps take, for the report and the terminal.

Prefect's own records cannot be used, because its server learns of the last step only after the run has ended.
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

    This class is not a dictionary, because Prefect iterates over every dictionary in a task's arguments, and fails if
    another task adds to the dictionary at the same time.
    """

    def __init__(self) -> None:
        self._times: dict[str, StepTime] = {}

    def begin(self, name: str) -> StepTime:
        """Return the time that the step has taken so far. A new step is added, with zero seconds."""
        return self._times.setdefault(name, StepTime(name, "Running", 0, 0))

    def record(self, step: StepTime) -> None:
        """Replace the saved time of the step of this name."""
        self._times[step.name] = step

    def all(self) -> tuple[StepTime, ...]:
        """Return a copy of the current times."""
        return tuple(self._times.values())


_STEPS: Final[ContextVar[StepTimes | None]] = ContextVar("steps", default=None)


def record_steps() -> StepTimes:
    """Return empty times, to which `timed` adds in this context and in threads that run in a copy of this context."""
    steps = StepTimes()
    _STEPS.set(steps)
    return steps


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Record the time of one attempt of a step, which runs in this context."""
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
