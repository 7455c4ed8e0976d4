"""How the steps of a run go, as they do: said to whoever shows them, and noted for the report.

Prefect's server learns of the last one a moment after the run's end, which is too late for both.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

LOGGER: Final = logging.getLogger("flows.outcome.timing")
"""Its records have the step's name as `task_name`, as Prefect's own have; what is neither of these two says what the
step does now."""
BEGINS: Final = "begins"
DONE: Final = "is done"


@dataclass(frozen=True)
class StepTime:
    """How one step went so far, over all its attempts."""

    name: str
    state: str
    """Completed, Failed, or Running."""
    seconds: float
    attempts: int


_STEPS: Final[ContextVar[dict[str, StepTime] | None]] = ContextVar("steps", default=None)


def note_steps() -> dict[str, StepTime]:
    """Begin a run: return its steps by name, which those that are called in it, or in its threads, add to."""
    steps = dict[str, StepTime]()
    _STEPS.set(steps)
    return steps


@contextmanager
def noted(name: str) -> Iterator[None]:
    """One attempt of a step; one that fails is not done."""
    began, state = time.monotonic(), "Failed"
    steps = {} if (noted_so_far := _STEPS.get()) is None else noted_so_far
    before = steps.setdefault(name, StepTime(name, "Running", 0, 0))
    LOGGER.info(BEGINS, extra={"task_name": name})
    try:
        yield
        state = "Completed"
        LOGGER.info(DONE, extra={"task_name": name})
    finally:
        steps[name] = StepTime(name, state, before.seconds + time.monotonic() - began, before.attempts + 1)
