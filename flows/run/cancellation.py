"""Whether somebody had cancelled a run before its machine was lost: what runs it again has not asked them."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from prefect import runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType

_THIS_EXECUTION: Final = {StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING}


def was_being_cancelled() -> bool:
    """Whether the execution before this one crashed while it was being cancelled."""
    if runtime.flow_run.run_count <= 1:
        return False
    with get_client(sync_client=True) as client:
        states = client.read_flow_run_states(UUID(str(runtime.flow_run.id)))
    return _crashed_in_cancellation([state.type for state in states])


def _crashed_in_cancellation(states: Sequence[StateType]) -> bool:
    before = list(states)
    while before and before[-1] in _THIS_EXECUTION:
        before.pop()
    return before[-2:] == [StateType.CANCELLING, StateType.CRASHED]
