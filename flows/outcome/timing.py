"""Records how long a run's steps take, for the report and the terminal.

Prefect's own records of the steps cannot be used: its server learns of the last step only after the run has ended.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

LOGGER: Final = logging.getLogger("flows.steps")
"""The log of a run's steps. Each step logs `BEGINS` and `DONE` and, in between, its current activity. As in Prefect's
own log records, the attribute `task_name` of a log record is the step's name."""
FAILED_STEP: Final = "has_failed_step"
"""The attribute of a log record that says why its step is not shown as done, although the run goes on."""
BEGINS: Final = "begins"
DONE: Final = "is done"


@dataclass(frozen=True)
class StepTime:
    """The time that one step has taken so far in this process, over its first execution and Prefect's retries."""

    name: str
    state: str
    """The state of the step: Completed, Failed, or Running."""
    seconds: float
    attempts: int


class StepTimes:
    """The times that a run's steps have taken so far, in the order in which the steps began.

    This class is not a dictionary, because Prefect iterates over every dictionary in a task's arguments, and fails if
    another task adds to the dictionary at the same time.
    """

    def __init__(self) -> None:
        self._times: dict[str, StepTime] = {}

    def begin(self, name: str) -> StepTime:
        """Return the time that a step has taken so far. A step that is not known yet is added, with zero seconds."""
        return self._times.setdefault(name, StepTime(name, "Running", 0, 0))

    def record(self, step: StepTime) -> None:
        """Save the time of a step in place of the time that was saved under the same name."""
        self._times[step.name] = step

    def all(self) -> tuple[StepTime, ...]:
        """Return the current times of all steps, as a copy."""
        return tuple(self._times.values())


_STEPS: Final[ContextVar[StepTimes | None]] = ContextVar("steps", default=None)


def record_steps() -> StepTimes:
    """Return an empty `StepTimes`. `timed` adds to it in this context and in threads that run in a copy of it."""
    steps = StepTimes()
    _STEPS.set(steps)
    return steps


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Record how long the body of the `with` statement runs, as one execution or retry of a step."""
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
