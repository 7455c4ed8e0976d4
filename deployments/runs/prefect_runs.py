"""The runs that keepings are of, as far as the Prefect API knows them."""

from collections.abc import Iterable
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun

_PAGE = 200


def known(prefect: SyncPrefectClient, flow_run_ids: Iterable[str]) -> dict[str, FlowRun]:
    """Return the runs that the server knows, by id."""
    ids = [uuid for flow_run_id in flow_run_ids if (uuid := _uuid(flow_run_id))]
    found: dict[str, FlowRun] = {}
    for at in range(0, len(ids), _PAGE):
        mine = FlowRunFilter(id=FlowRunFilterId(any_=ids[at : at + _PAGE]))
        found |= {str(run.id): run for run in prefect.read_flow_runs(flow_run_filter=mine, limit=_PAGE)}
    return found


def is_over(run: FlowRun | None) -> bool:
    """Whether nothing executes the run, or will; one that the server does not know is over."""
    return run is None or run.state is None or run.state.is_final()


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
