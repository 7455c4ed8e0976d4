"""The run's plan: kept when the work begins, and taken up by whoever goes on with it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
from prefect import get_run_logger

from flows.instructions.files import from_stream, stream
from flows.redaction import REDACTED, SECRETS
from flows.sandbox.workspace import Workspace
from flows.state.chunks import Damaged, keep_parts, read_parts
from flows.state.records import INSTRUCTIONS, Plan, keep_plan
from flows.state.store import RunStore


def keep_start(store: RunStore, plan: Plan, workspace: Workspace, asked: Mapping[str, Any]) -> Plan:
    """Keep where the work starts from, with the instructions as they were downloaded; return the plan as it is kept.

    Args:
        store: Where to.
        plan: Where the work starts from.
        workspace: Where the instructions are.
        asked: The run's parameters, for whoever looks at the run later.
    """
    store.keep("request.json", _request(asked))
    parts = keep_parts(store, INSTRUCTIONS, stream(workspace, plan.instructions.files))
    kept = replace(plan, parts=parts)
    keep_plan(store, kept)
    return kept


def _request(asked: Mapping[str, Any]) -> bytes:
    """Return the parameters as JSON, less the values of variables in the settings, which nobody says are no secrets."""
    settings = asked.get("claude_settings", {})
    hidden = {"env": dict.fromkeys(settings["env"], REDACTED)} if isinstance(settings.get("env"), dict) else {}
    shown = {**asked, "claude_settings": {**settings, **hidden}}
    as_json = orjson.dumps(shown, default=lambda model: model.model_dump(mode="json"), option=orjson.OPT_INDENT_2)
    return SECRETS.redact_bytes(as_json) + b"\n"


def take_up_instructions(store: RunStore, plan: Plan, workspace: Workspace) -> bool:
    """Put the instructions back as they were; False, with a warning, where they are no longer whole in the store."""
    try:
        from_stream(workspace, plan.instructions.files, read_parts(store, INSTRUCTIONS, plan.parts))
    except Damaged as damage:
        get_run_logger().warning("the instructions are read anew from %s: %s", plan.instructions.source, damage)
        return False
    return True
