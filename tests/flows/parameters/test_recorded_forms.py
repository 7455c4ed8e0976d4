"""The parameters of the flows match their recording, except for their help. New parameters may be added."""

import json
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow
from prefect.utilities.callables import parameter_schema

from flows.deliver import deliver
from flows.follow_up import follow_up
from flows.implement import implement

RECORDED = json.loads(Path(__file__).with_name("forms.json").read_text())
OPEN = {"properties", "definitions", "default"}
"""Objects of a schema to which a new parameter adds a key. All other objects are compared in full."""


def differences(recorded: Any, schema: Any, path: str = "", *, is_open: bool = False) -> list[str]:  # noqa: ANN401 (JSON)
    if not isinstance(recorded, dict):
        return [] if recorded == schema or path.endswith("/position") else [f"{path}: {recorded!r} became {schema!r}"]
    help_texts = {"description"} if isinstance(schema.get("description"), str) else set()
    keys = [key for key in schema if key not in help_texts and (not is_open or key in recorded)]
    if keys != list(recorded):
        return [f"{path}: {list(recorded)} became {keys}"]
    nested = (differences(recorded[key], schema[key], f"{path}/{key}", is_open=key in OPEN) for key in recorded)
    return [
        difference for each in nested for difference in each if not difference.partition(":")[0].endswith("position")
    ]


@pytest.mark.parametrize("flow", [implement, deliver, follow_up], ids=["implement", "deliver", "follow_up"])
def test_a_form_matches_its_recording(flow: Flow[..., Any]) -> None:
    schema = parameter_schema(flow).model_dump_for_openapi()
    assert differences(RECORDED[flow.name], schema) == []
    positions = [schema["properties"][name]["position"] for name in RECORDED[flow.name]["properties"]]
    assert positions == sorted(positions)


def test_a_difference_is_detected() -> None:
    recorded = RECORDED["deliver"]
    moved = dict(reversed(recorded["properties"].items()))
    assert differences(recorded, {**recorded, "properties": moved})
    changed = {**recorded["properties"], "branch_name": {**recorded["properties"]["branch_name"], "title": "Branch"}}
    assert differences(recorded, {**recorded, "properties": changed}) == [
        "/properties/branch_name/title: 'Branch to push' became 'Branch'"
    ]
    assert not differences(recorded, {**recorded, "properties": {"new": {}, **recorded["properties"]}})
