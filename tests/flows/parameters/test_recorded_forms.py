"""The forms of both flows are those that were recorded before parameters had one place each, but for the help texts."""

import json
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow
from prefect.utilities.callables import parameter_schema

from flows.deliver import deliver
from flows.implement import implement

RECORDED = json.loads(Path(__file__).with_name("forms.json").read_text())


def without_help(schema: Any) -> Any:  # noqa: ANN401 (JSON)
    if isinstance(schema, dict):
        items = ((key, value) for key, value in schema.items() if key != "description" or not isinstance(value, str))
        return {key: without_help(value) for key, value in items}
    return [without_help(value) for value in schema] if isinstance(schema, list) else schema


@pytest.mark.parametrize("flow", [implement, deliver], ids=["implement", "deliver"])
def test_a_form_is_as_it_was_recorded(flow: Flow[..., Any]) -> None:
    schema = without_help(parameter_schema(flow).model_dump_for_openapi())
    assert json.dumps(schema, indent=1) == json.dumps(RECORDED[flow.name], indent=1)
