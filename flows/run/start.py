"""Saves the commit and the instructions that a run's work starts from, so that later attempts use the same ones."""

from collections.abc import Mapping
from typing import Any

import orjson
from prefect import runtime

from flows.instructions.files import Instructions, content_stream
from flows.redaction import REDACTED, SECRETS
from flows.repository.clone import Checkout
from flows.run.run import FollowUpRun, Run, scheduled_start
from flows.state.chunks import save_chunks
from flows.state.files import StateFile
from flows.state.records import Plan


def start_work(run: Run, checkout: Checkout, instructions: Instructions) -> Plan:
    """Return the run's plan: the one that an earlier attempt saved, or a new one, which is saved here."""
    if run.saved.plan:
        return run.saved.plan
    store = run.saved.store
    parameters = run.request_values if isinstance(run, FollowUpRun) else runtime.flow_run.parameters
    store.save(StateFile.REQUEST, _request(parameters))
    chunks = save_chunks(store, StateFile.INSTRUCTIONS, content_stream(run.workspace, instructions.files))
    plan = Plan(run.request.repo_url.url, checkout, instructions, scheduled_start(), chunks)
    run.saved.save_plan(plan)
    return plan


def _request(parameters: Mapping[str, Any]) -> bytes:
    """Return the run's parameters as JSON.

    The values of environment variables in `claude_settings` are redacted, because they may be secrets.
    """
    settings = parameters.get("claude_settings", {})
    redacted = {"env": dict.fromkeys(settings["env"], REDACTED)} if isinstance(settings.get("env"), dict) else {}
    request = {**parameters, "claude_settings": {**settings, **redacted}}
    as_json = orjson.dumps(request, default=lambda model: model.model_dump(mode="json"), option=orjson.OPT_INDENT_2)
    return SECRETS.redact_bytes(as_json) + b"\n"
