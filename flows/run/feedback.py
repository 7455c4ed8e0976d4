"""Keeps an operator's feedback to a run on the Prefect server, until the run's next attempt reads it."""

from http import HTTPStatus
from typing import Final
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import PrefectHTTPStatusError

from flows.text_safety import printable

_PREFIX: Final = "feedback-"
_MOST: Final = 200


def add_feedback(prefect: SyncPrefectClient, flow_run_id: UUID, text: str) -> None:
    """Add feedback to a flow run, after all earlier feedback, also if somebody else adds some at the same moment."""
    number = len(read_feedback(prefect, flow_run_id)) + 1
    while True:
        try:
            prefect.create_flow_run_input(flow_run_id, f"{_PREFIX}{number:03}", printable(text))
        except PrefectHTTPStatusError as error:
            if error.response.status_code != HTTPStatus.CONFLICT or number >= _MOST:
                raise
            number += 1
        else:
            return


def read_feedback(prefect: SyncPrefectClient, flow_run_id: UUID) -> list[str]:
    """Return all feedback to a flow run, in its order. Prefect keeps it as the flow run's input.

    https://docs.prefect.io/v3/advanced/interactive
    """
    inputs = prefect.filter_flow_run_input(flow_run_id, _PREFIX, _MOST, set())
    return [each.value for each in sorted(inputs, key=lambda each: each.key)]


def feedback_to(flow_run_id: str) -> list[str]:
    """Return all feedback to a flow run on the configured Prefect server."""
    with get_client(sync_client=True) as prefect:
        return read_feedback(prefect, UUID(flow_run_id))
