"""How the steps of a run go, noted as they do: Prefect's server learns of the last one a moment after the run's end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from flows.ending import StepTime

_STEPS: Final[ContextVar[dict[str, StepTime] | None]] = ContextVar("steps", default=None)


def note_steps() -> dict[str, StepTime]:
    """Begin a run: return its steps by name, which those that are called in it, or in its threads, add to."""
    steps = dict[str, StepTime]()
    _STEPS.set(steps)
    return steps


@contextmanager
def noted(name: str) -> Iterator[None]:
    """One attempt of a step."""
    began, state = time.monotonic(), "Failed"
    steps = {} if (noted_so_far := _STEPS.get()) is None else noted_so_far
    before = steps.setdefault(name, StepTime(name, "Running", 0, 0))
    try:
        yield
        state = "Completed"
    finally:
        steps[name] = StepTime(name, state, before.seconds + time.monotonic() - began, before.attempts + 1)
