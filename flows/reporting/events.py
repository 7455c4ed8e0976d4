"""The end of a run, as an event on the Prefect server: what automations, and whoever else listens, learn of it.

claude-code.run.delivered, .no-changes, .failed and .budget-exceeded. The resource is `claude-code.run.<flow run id>`;
the flow run, its deployment and the repository are related to it; the payload says what, where, and for how much.
"""

import json
import uuid
from typing import TYPE_CHECKING, Any, Final, cast

from prefect.events import emit_event
from prefect.results import get_default_result_storage
from prefect.utilities.urls import url_for

from flows.errors import BudgetExceeded, StoreUnavailable
from flows.outcome.result import Delivery
from flows.state.store import FileSystem, RunStore
from flows.text_safety import one_line, sanitize_json

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun, State

_NAMESPACE: Final = uuid.UUID("2f0e8f0a-7a0e-4a53-8f86-0c7d0b5f7a41")
_REPOSITORY: Final = "claude-code.repository"
_LABELS: Final = ("repository", "branch", "cost_usd", "turns")
_SUMMARY_CHARACTERS: Final = 1000


def announce(flow: "Flow[..., Any]", flow_run: "FlowRun", state: "State[Any]") -> None:  # noqa: ARG001 (Prefect's names)
    """Emit the event of a run that has just ended; a hook of the flow."""
    outcome, facts = _outcome(flow_run, state)
    facts |= {"flow_run_id": str(flow_run.id), "name": flow_run.name, "url": url_for(flow_run) or ""}
    facts = sanitize_json(facts)
    labels = {f"claude-code.{name}": one_line(str(facts[name])) for name in _LABELS}
    emit_event(
        event=f"claude-code.run.{outcome}",
        resource={
            "prefect.resource.id": f"claude-code.run.{flow_run.id}",
            "prefect.resource.name": one_line(facts["name"]),
            **labels,
        },
        related=[
            {
                "prefect.resource.id": f"claude-code.repository.{labels[_REPOSITORY]}",
                "prefect.resource.role": "repository",
            }
        ],
        payload=facts,
        id=_event_id(flow_run, outcome, facts),
    )


def _event_id(flow_run: "FlowRun", outcome: str, facts: dict[str, Any]) -> uuid.UUID:
    """Return the same id for the same outcome: a delivery is one, whichever execution of the run saw its end."""
    of = facts["commit"] or flow_run.run_count
    return uuid.uuid5(_NAMESPACE, f"{flow_run.id} {outcome} {of}")


def _outcome(flow_run: "FlowRun", state: "State[Any]") -> tuple[str, dict[str, Any]]:
    asked = flow_run.parameters
    facts = {
        "repository": str(asked.get("repo_url", "")),
        "branch": str(asked.get("branch_name", "")),
        "commit": "",
        "message": state.message or "",
    }
    result = state.result(raise_on_failure=False)
    if isinstance(result, Delivery):
        return "delivered" if result.commit else "no-changes", facts | _delivered(result)
    outcome = "budget-exceeded" if isinstance(result, BudgetExceeded) else "failed"
    return outcome, facts | _failed(flow_run, result)


def _delivered(delivery: Delivery) -> dict[str, Any]:
    return {
        "repository": delivery.repo_url,
        "branch": delivery.branch,
        "commit": delivery.commit,
        "files": len(delivery.files),
        "summary": delivery.summary[:_SUMMARY_CHARACTERS],
        "cost_usd": round(delivery.cost_usd, 4),
        "turns": delivery.turns,
    }


def _failed(flow_run: "FlowRun", error: object) -> dict[str, Any]:
    spent = _spent(flow_run)
    return {
        "error": type(error).__name__,
        "message": str(error),
        "cost_usd": round(float(spent.get("spent_usd", 0)), 4),
        "turns": int(spent.get("replies", 0)),
    }


def _spent(flow_run: "FlowRun") -> dict[str, Any]:
    """Return what the run has kept of its cost; nothing where it did not get as far, or its store does not answer."""
    store = RunStore(cast("FileSystem", get_default_result_storage()), str(flow_run.id), ())
    try:
        return dict(json.loads(store.read("usage.json") or b"{}"))
    except StoreUnavailable:
        return {}
