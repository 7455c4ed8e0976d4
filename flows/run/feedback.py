"""Keeps an operator's feedback to a run on the Prefect server, until the run's next attempt reads it."""

from typing import Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient

_PREFIX: Final = "feedback-"
_MOST: Final = 200


def add_feedback(prefect: SyncPrefectClient, flow_run_id: UUID, text: str) -> None:
    """Add feedback to a flow run."""
    number = len(read_feedback(prefect, flow_run_id)) + 1
    prefect.create_flow_run_input(flow_run_id, f"{_PREFIX}{number:03}", text)


def read_feedback(prefect: SyncPrefectClient, flow_run_id: UUID) -> list[str]:
    """Return all feedback to a flow run, in its order. Prefect keeps it as the flow run's input.

    https://docs.prefect.io/v3/advanced/interactive
    """
    inputs = prefect.filter_flow_run_input(flow_run_id, _PREFIX, _MOST, set())
    return [each.value for each in sorted(inputs, key=lambda each: each.key)]
