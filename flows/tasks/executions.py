"""The executions of a run before this one, as the Prefect server has them."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType

_THIS_EXECUTION: Final = {StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING}


def was_being_cancelled(flow_run_id: str) -> bool:
    """Whether the run was being cancelled when its machine was lost: then what runs it again has not asked anybody."""
    with get_client(sync_client=True) as client:
        return _crashed_in_cancellation([state.type for state in client.read_flow_run_states(UUID(flow_run_id))])


def _crashed_in_cancellation(states: Sequence[StateType]) -> bool:
    before = list(states)
    while before and before[-1] in _THIS_EXECUTION:
        before.pop()
    return before[-2:] == [StateType.CANCELLING, StateType.CRASHED]
