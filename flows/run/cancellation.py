"""Detects a run whose machine was lost while the run was being cancelled. Prefect starts such a run again."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from prefect import runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType

_THIS_ATTEMPT: Final = {StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING}


def was_being_cancelled() -> bool:
    """Return whether the previous attempt of this run crashed while it was being cancelled."""
    if runtime.flow_run.run_count <= 1:
        return False
    with get_client(sync_client=True) as client:
        states = client.read_flow_run_states(UUID(str(runtime.flow_run.id)))
    return _crashed_in_cancellation([state.type for state in states])


def _crashed_in_cancellation(states: Sequence[StateType]) -> bool:
    earlier = list(states)
    while earlier and earlier[-1] in _THIS_ATTEMPT:
        earlier.pop()
    return earlier[-2:] == [StateType.CANCELLING, StateType.CRASHED]
