"""Asks the Prefect API for the flow runs whose state is saved."""

from collections.abc import Iterable
from contextlib import suppress
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun

_PAGE = 200


def flow_runs_by_id(prefect: SyncPrefectClient, flow_run_ids: Iterable[str]) -> dict[str, FlowRun]:
    """Return the flow runs that the Prefect server knows, by their ids. Ids that are not UUIDs are ignored."""
    ids = []
    for flow_run_id in flow_run_ids:
        with suppress(ValueError):
            ids.append(UUID(flow_run_id))
    flow_runs: dict[str, FlowRun] = {}
    for start in range(0, len(ids), _PAGE):
        by_id = FlowRunFilter(id=FlowRunFilterId(any_=ids[start : start + _PAGE]))
        flow_runs |= {str(run.id): run for run in prefect.read_flow_runs(flow_run_filter=by_id, limit=_PAGE)}
    return flow_runs


def is_finished(run: FlowRun | None) -> bool:
    """Return whether the run is in a final state. A run that the server does not know (None) counts as finished."""
    return run is None or run.state is None or run.state.is_final()
