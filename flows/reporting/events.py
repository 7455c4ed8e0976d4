"""Emits an event on the Prefect server when a run ends, for automations and other listeners.

The event's name contains the run's `Outcome`: claude-code.run.delivered, .not-verified, .no-changes, .answered,
.needs-input, .blocked, .budget-exceeded, .failed or .interrupted. The resource is `claude-code.run.<flow run id>`. The
flow run, its deployment and the repository are related resources. The payload says what happened, in which repository
and branch, and at what cost.
"""

import json
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from prefect.events import emit_event
from prefect.logging import get_logger
from prefect.results import get_default_result_storage
from prefect.utilities.urls import url_for

from flows.errors import RunError, VerificationFailed
from flows.outcome.pull_request import PullRequestResult
from flows.outcome.result import Outcome, RunResult
from flows.outcome.verification import VerificationResult
from flows.state.files import StateFile
from flows.state.store import FileSystem, RunStore
from flows.text_safety import one_line, sanitize_json

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun, State

_NAMESPACE: Final = uuid.UUID("2f0e8f0a-7a0e-4a53-8f86-0c7d0b5f7a41")
_REPOSITORY: Final = "claude-code.repository"
_LABELS: Final = ("repository", "branch", "cost_usd", "turns")
_NO_USAGE: Final = {"cost_usd": 0.0, "turns": 0, "cache_read_tokens": 0, "cache_saved_usd": 0.0}
_VERIFICATION: Final = ("verification", "verify_source", "repairs", "changed_checks")
_PULL_REQUEST: Final = ("pull_request", "pull_request_fault")
_ANSWER: Final = ("questions", "not_done")
_MAX_TEXTS: Final = 20
_SUMMARY_CHARACTERS: Final = 1000
_LABEL_CHARACTERS: Final = 1000
_TEXT_CHARACTERS: Final = 20_000


def emit_run_event(flow: "Flow[..., Any]", flow_run: "FlowRun", state: "State[Any]") -> None:  # noqa: ARG001 (Prefect's names)
    """Emit the event of a run that has just ended. Prefect calls this function as a hook of the flow."""
    outcome, payload = _payload(flow_run, state)
    payload |= {"flow_run_id": str(flow_run.id), "name": flow_run.name, "url": url_for(flow_run) or ""}
    payload = {name: _shortened(value) for name, value in sanitize_json(payload).items()}
    labels = {f"claude-code.{name}": one_line(str(payload.get(name, "")))[:_LABEL_CHARACTERS] for name in _LABELS}
    # If two attempts of the run report the same outcome, they give the event the same id.
    id_name = f"{flow_run.id} {outcome} {payload['commit'] or flow_run.run_count}"
    emit_event(
        event=outcome.event,
        resource={
            "prefect.resource.id": f"claude-code.run.{flow_run.id}",
            "prefect.resource.name": one_line(payload["name"]),
            **labels,
        },
        related=[
            {
                "prefect.resource.id": f"claude-code.repository.{labels[_REPOSITORY]}",
                "prefect.resource.role": "repository",
            }
        ],
        payload=payload,
        id=uuid.uuid5(_NAMESPACE, id_name),
    )


def _shortened(value: Any) -> Any:  # noqa: ANN401 (JSON)
    """Return a text cut to a maximum length, because Prefect refuses a large event. Return any other value as it is."""
    return value[:_TEXT_CHARACTERS] if isinstance(value, str) else value


def _payload(flow_run: "FlowRun", state: "State[Any]") -> tuple[Outcome, dict[str, Any]]:
    parameters = flow_run.parameters
    payload: dict[str, Any] = {
        "repository": str(parameters.get("repo_url", "")),
        "branch": str(parameters.get("branch_name", "")),
        "commit": "",
        "message": state.message or "",
    }
    result = _result(state)
    if isinstance(result, RunResult):
        return result.outcome, payload | _result_fields(result) | _delivery_fields(flow_run)
    if isinstance(result, RunError) and isinstance(result.result, RunResult):
        fields = _result_fields(result.result)
        names = ("repository", *_ANSWER, *(_VERIFICATION if isinstance(result, VerificationFailed) else ()))
        payload |= fields if fields["commit"] else {name: fields[name] for name in names}
    payload |= {"error": type(result).__name__, "message": str(result), **_usage(flow_run)}
    return Outcome.of_error(result), payload


def _result(state: "State[Any]") -> object:
    """Return the run's result or its exception. If Prefect cannot load it, return the exception raised by loading."""
    try:
        return state.result(raise_on_failure=False)
    except Exception as error:  # noqa: BLE001 (Prefect reads its result storage)
        return error


def _result_fields(result: RunResult) -> dict[str, Any]:
    return {
        "repository": result.repo_url,
        "branch": result.branch,
        "commit": result.commit,
        "applied_to": result.applied_to,
        "files": len(result.files),
        "summary": result.summary[:_SUMMARY_CHARACTERS],
        **{name: _texts(getattr(result, name)) for name in _ANSWER},
        **_verification_fields(result.verification),
        **_pull_request_fields(result.pull_request),
        "cost_usd": round(result.cost_usd or 0.0, 4),
        "turns": result.turns or 0,
        "cache_read_tokens": result.cache_read_tokens or 0,
        "cache_saved_usd": round(result.cache_saved_usd or 0.0, 4),
    }


def _pull_request_fields(result: PullRequestResult | None) -> dict[str, Any]:
    values = (result.url, result.fault) if result else ("", "")
    return dict(zip(_PULL_REQUEST, values, strict=True))


def _verification_fields(verification: VerificationResult | None) -> dict[str, Any]:
    if verification is None:
        return dict.fromkeys(_VERIFICATION, "") | {"repairs": 0, "changed_checks": []}
    checks = _texts(verification.changed_checks)
    values = (verification.status, verification.source, verification.repairs, checks)
    return dict(zip(_VERIFICATION, values, strict=True))


def _texts(texts: Sequence[str]) -> list[str]:
    return [text[:_LABEL_CHARACTERS] for text in texts[:_MAX_TEXTS]]


def _delivery_fields(flow_run: "FlowRun") -> dict[str, Any]:
    """Return, for a run of `deliver`, no usage: the event of the run that made the change has it."""
    return dict(_NO_USAGE) if "apply_to_latest" in flow_run.parameters else {}


def _usage(flow_run: "FlowRun") -> dict[str, Any]:
    """Return the cost, the turns and what the cache saved, from the saved usage; zeros if it cannot be read."""
    try:
        store = RunStore(cast("FileSystem", get_default_result_storage()), str(flow_run.id), ())
        usage = json.loads(store.read(StateFile.USAGE) or b"{}")
        return {
            "cost_usd": round(float(usage.get("spent_usd", 0)), 4),
            "turns": int(usage.get("replies", 0)),
            "cache_read_tokens": int(usage.get("tokens", {}).get("cache_read_input_tokens", 0)),
            "cache_saved_usd": round(float(usage.get("cache_saved_usd", 0)), 4),
        }
    except Exception as error:  # noqa: BLE001 (a storage block or a file system may raise anything; the event does not depend on it)
        get_logger(__name__).warning(
            "the run's event has no cost, because the saved usage cannot be read: %s: %s", type(error).__name__, error
        )
        return dict(_NO_USAGE)
