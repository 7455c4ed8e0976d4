"""Reads the parameters of the flows `implement` and `follow_up` from the environment variables of `python -m flows`."""

import json
import re
import textwrap
from collections.abc import Collection, Mapping
from typing import Any, Final, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from flows.errors import RunError
from flows.parameters.fields import Parameter, leaves_of, parameters_of
from flows.parameters.implement import ImplementParameters, check_before_run
from flows.redaction import strip

_NAME_WIDTH: Final = 26
_LINE_WIDTH: Final = 120


_YES: Final = frozenset({"1", "y", "yes", "on", "t"})


class InvalidVariable(RunError):
    """An environment variable is missing, or its value cannot be read."""


def table(model: type[BaseModel] = ImplementParameters, only: Collection[str] = ()) -> str:
    """Return the environment variables of the parameters with their help texts, in lines of at most 120 characters.

    Args:
        model: The parameters of a flow.
        only: The names of the parameters to return; empty for all of them.
    """
    return "\n".join(_row(leaf) for leaf in leaves_of(model) if not only or leaf.path in only)


def names_set(environment: Mapping[str, str], model: type[BaseModel] = ImplementParameters) -> list[str]:
    """Return the names of the variables that are set, in the order of the alphabet."""
    return sorted(leaf.variable for leaf in leaves_of(model) if environment.get(leaf.variable))


def _row(parameter: Parameter) -> str:
    notes = [_notation(parameter)]
    if parameter.is_required:
        notes.append("required")
    elif default := default_as_text(parameter):
        notes.append(f"default {default}")
    remark = "; ".join(filter(None, notes))
    text = f"{parameter.help} ({remark})" if remark else parameter.help
    return textwrap.fill(
        text,
        _LINE_WIDTH,
        initial_indent=f"  {parameter.variable:<{_NAME_WIDTH}} ",
        subsequent_indent=" " * (_NAME_WIDTH + 3),
        break_on_hyphens=False,
    )


def _notation(parameter: Parameter) -> str:
    if parameter.value_type is bool:
        return "true or false"
    if get_origin(parameter.value_type) is tuple:
        return "separated by commas"
    return "JSON" if get_origin(parameter.value_type) is dict else " or ".join(filter(None, parameter.choices))


def default_as_text(parameter: Parameter) -> str:
    """Return the parameter's default, written as in the parameter's environment variable."""
    value = parameter.default
    if isinstance(value, tuple):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value)


def parameters(environment: Mapping[str, str], model: type[BaseModel] = ImplementParameters) -> dict[str, Any]:
    """Return the parameters that are set in `environment`, after all checks that need no server.

    Args:
        environment: The environment variables.
        model: The parameters of a flow.

    Raises:
        InvalidVariable: A variable is missing or cannot be read; the message names the first such variable.
        RunError: A parameter is wrong. If several are, the error is about the first.
    """
    values = read(environment, model)
    if model is not ImplementParameters:
        model(**values)
        return values
    if not values.keys() & {"instructions", "instructions_s3_uri"}:
        raise InvalidVariable("INSTRUCTIONS_S3_URI is not set: give s3://bucket/file.md or s3://bucket/folder/*")
    check_before_run(values)
    return values


def asks_to_start(environment: Mapping[str, str]) -> bool:
    """Return whether PROCESS_REQUIREMENTS is `true`; raise `InvalidVariable` for another word for true, such as yes."""
    text = strip(environment.get("PROCESS_REQUIREMENTS", ""))
    if text.lower() in _YES:
        raise InvalidVariable(f"PROCESS_REQUIREMENTS is {text!r}: nothing was started; set it to true")
    return text.lower() == "true"


def read(environment: Mapping[str, str], model: type[BaseModel] = ImplementParameters) -> dict[str, Any]:
    """Return the parameters whose environment variables are set, and all parameter groups.

    An empty variable counts as not set. White space and quotes around a value are removed.
    """
    values = {}
    for parameter in parameters_of(model):
        if parameter.group_model:
            values[parameter.name] = _read_group(parameter.name, parameter.group_model, environment)
        elif text := strip(environment.get(parameter.variable, "")):
            values[parameter.name] = _read(parameter, text)
        elif parameter.is_required:
            raise InvalidVariable(f"{parameter.variable} is not set: {parameter.help}")
    return values


def _read_group(name: str, model: type[BaseModel], environment: Mapping[str, str]) -> BaseModel:
    leaves = {leaf.name: leaf for leaf in parameters_of(model, name)}
    texts = {leaf.name: strip(environment.get(leaf.variable, "")) for leaf in leaves.values()}
    try:
        return model(**{name: _read(leaves[name], text) for name, text in texts.items() if text})
    except ValidationError as error:
        [first, *_] = error.errors()
        raise InvalidVariable(f"{leaves[str(first['loc'][0])].variable} cannot be used: {first['msg']}") from None


def _read(parameter: Parameter, text: str) -> Any:  # noqa: ANN401 (of the parameter's own type)
    try:
        return _value(parameter, text)
    except ValidationError as error:
        raise InvalidVariable(f"{parameter.variable} cannot be used: {error.errors()[0]['msg']}") from None
    except RunError as error:
        raise InvalidVariable(f"{parameter.variable} cannot be used: {error}") from None


def _value(parameter: Parameter, text: str) -> Any:  # noqa: ANN401 (of the parameter's own type)
    if parameter.reader:
        return parameter.reader(_unquoted_object(text))
    if parameter.value_type is bool and text.lower() not in {"true", "false"}:
        raise InvalidVariable("it must be true or false")
    if get_origin(parameter.value_type) is tuple:
        return tuple(entry.strip() for entry in text.split(",") if entry.strip())
    return TypeAdapter(parameter.value_type).validate_python(text)


def _unquoted_object(text: str) -> str:
    """Return the text without the double quotes around a JSON object; return any other text unchanged.

    The quotes inside the object may be escaped.
    """
    if not (text.startswith('"{') and text.endswith('}"')):
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        return text[1:-1]


def with_variables(message: str, model: type[BaseModel] = ImplementParameters) -> str:
    """Return a message in which the names of environment variables replace the names of parameters."""
    leaves = leaves_of(model)
    for leaf in sorted(leaves, key=lambda leaf: not leaf.group):
        if "_" in leaf.path or leaf.group:  # `provider` and `instructions` are also ordinary words
            message = re.sub(rf"\b{re.escape(leaf.path)}\b", leaf.variable, message)
    return message
