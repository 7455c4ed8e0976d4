"""Whether a run that Prefect starts again was being cancelled before, read from its earlier states."""

import pytest
from prefect.client.schemas.objects import StateType

from flows.run.cancellation import _crashed_in_cancellation

FIRST = "SCHEDULED PENDING RUNNING"


@pytest.mark.parametrize(
    ("states", "was_being_cancelled"),
    [
        (FIRST, False),
        (f"{FIRST} CRASHED {FIRST}", False),
        (f"{FIRST} CANCELLING CRASHED {FIRST}", True),
        (f"{FIRST} CANCELLING CRASHED PENDING RUNNING", True),
        (f"{FIRST} CANCELLING CANCELLED {FIRST}", False),  # cancelled, and started again by a person
        (f"{FIRST} CANCELLING CRASHED {FIRST} CRASHED {FIRST}", False),
        ("RUNNING", False),
        ("", False),
    ],
)
def test_a_run_that_crashed_while_it_was_being_cancelled_is_recognized(states: str, was_being_cancelled: bool) -> None:
    assert _crashed_in_cancellation([StateType(name) for name in states.split()]) == was_being_cancelled
