"""Parses run parameters that a user types, and checks them as the flow does."""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Final

from pydantic import ValidationError

from deployments.cli.errors import InvalidParameter
from flows.errors import RunError
from flows.forges.pages import is_address
from flows.parameters.address_hints import s3_address
from flows.parameters.fields import parameters_of
from flows.parameters.follow_up import FollowUpParameters
from flows.parameters.implement import ImplementParameters, check_before_run

IMPLEMENT: Final = "implement"
FOLLOW_UP: Final = "follow_up"
_PARAMETERS: Final = {
    flow: {parameter.name: parameter for parameter in parameters_of(model)}
    for flow, model in ((IMPLEMENT, ImplementParameters), (FOLLOW_UP, FollowUpParameters))
}
"""The parameters of the flows that a run can be repeated or continued of, by the name of the flow."""


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """Parse texts of the form NAME=VALUE into a dictionary; raise `InvalidParameter` for any other text."""
    parts = [text.partition("=") for text in texts]
    for name, equals, _ in parts:
        if not name or not equals:
            raise InvalidParameter(f"{option} {name!r} is not NAME=VALUE")
    return {name: value for name, _, value in parts}


def instructions_parameter(address: str) -> dict[str, str]:
    """Return the parameter for the address of instructions, which is in S3 or that of an issue; empty without one."""
    if not address:
        return {}
    is_issue = is_address(address) and not s3_address(address)
    return {"instructions" if is_issue else "instructions_s3_uri": address}


def job_variables(texts: Sequence[str] | None) -> dict[str, Any]:
    """Parse texts of the form NAME=VALUE into job variables, as `prefect deployment run` does."""
    return {name: as_json(value) for name, value in pairs(texts or [], "--job-variable").items()}


def as_json(text: str) -> Any:  # noqa: ANN401 (any JSON)
    """Parse a text as JSON. If it is not JSON, return the text itself, as `prefect deployment run` does."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def apply_settings(parameters: Mapping[str, Any], settings: Sequence[str], flow: str = IMPLEMENT) -> dict[str, Any]:
    """Return a copy of a run's parameters, changed by the settings and checked as at the start of a run.

    Args:
        parameters: The parameters of a run on the Prefect server.
        settings: Texts of the form NAME=VALUE. A dot in a name selects a field of a group or of a JSON object, as in
            `limits.max_turns=300`.
        flow: The name of the flow.

    Raises:
        InvalidParameter: A name is unknown, or a run with these parameters could not start.
    """
    result, known = deepcopy(dict(parameters)), _PARAMETERS[flow]
    for path, text in pairs(settings, "--set").items():
        first, *rest = path.split(".")
        _check_name(first, rest, flow)
        value = text if known[first].value_type is str else as_json(text)  # 1234 is a text if it names a branch
        if not rest:
            result[first] = value
            continue
        default = {} if known[first].group_model else deepcopy(known[first].default)
        _set_field(result.setdefault(first, default), rest, value, path)
    check_parameters(result, flow)
    return result


def check_parameters(parameters: Mapping[str, Any], flow: str = IMPLEMENT) -> None:
    """Raise `InvalidParameter` if the flow would refuse these parameters."""
    if flow not in _PARAMETERS:
        raise InvalidParameter(
            f"the flow {flow!r} is not one of {', '.join(_PARAMETERS)}: start its deployment with Prefect"
        )
    if unknown := parameters.keys() - _PARAMETERS[flow]:
        raise InvalidParameter(f"the flow has no parameter {min(unknown)!r}")
    try:
        if flow == FOLLOW_UP:
            FollowUpParameters(**parameters)
        else:
            check_before_run(parameters)
    except RunError as error:
        raise InvalidParameter(f"{type(error).__name__}: {error}") from None
    except ValidationError as error:
        details = error.errors()[0]
        path = ".".join(str(part) for part in details["loc"])
        raise InvalidParameter(f"{path}: {_advice(details['type'], path, flow) or details['msg']}") from None


def _advice(kind: str, path: str, flow: str) -> str:
    """Return what to write instead of a value of another type; empty if pydantic's message says it."""
    parameter = _PARAMETERS[flow].get(path)
    if parameter and parameter.group_model:
        fields = ", ".join(f"{path}.{name}" for name in parameter.group_model.model_fields)
        return f"it is a group: set one of {fields}"
    return 'it is a list: write it as JSON, such as ["ada", "grace"]' if kind == "tuple_type" else ""


def _check_name(first: str, rest: Sequence[str], flow: str) -> None:
    parameter = _PARAMETERS[flow].get(first)
    if parameter is None:
        raise InvalidParameter(f"the flow has no parameter {first!r}: it has {', '.join(_PARAMETERS[flow])}")
    group = parameter.group_model
    if group and rest and rest[0] not in group.model_fields:
        raise InvalidParameter(f"{first} has no field {rest[0]!r}: it has {', '.join(group.model_fields)}")
    if rest and not group and not isinstance(parameter.default, dict):
        raise InvalidParameter(f"{first} has no fields: write {first}=VALUE")


def _set_field(target: Any, path: Sequence[str], value: object, whole_path: str) -> None:  # noqa: ANN401 (any JSON)
    *parents, last = path
    for name in parents:
        target = target.setdefault(name, {}) if isinstance(target, dict) else None
    if not isinstance(target, dict):
        raise InvalidParameter(f"{whole_path} names a field of a value that has no fields")
    target[last] = value
