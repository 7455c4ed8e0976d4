"""Checks the variables and the credentials in the environment of `python -m flows`, before the command starts a run."""

from collections.abc import Mapping, MutableMapping
from typing import Any

from pydantic import BaseModel

from flows.credential_values import check_environment, strip_environment
from flows.parameters import environment as variables
from flows.parameters.implement import ImplementParameters, check_before_run
from flows.parameters.misspelling import misspelt_variable


def checked_parameters(
    environment: MutableMapping[str, str], model: type[BaseModel] = ImplementParameters
) -> dict[str, Any]:
    """Return a flow's parameters, and check the credentials in `environment`.

    White space and quotes around a credential are removed in place, because Prefect reads it from there later.

    Raises:
        InvalidVariable: A variable is missing, misspelt, or cannot be read.
        RunError: A parameter or a credential is invalid. If several are, the error is about the first.
    """
    if misspelling := misspelt_variable(environment, model):
        name, correct_name = misspelling
        raise variables.InvalidVariable(
            f"{name} is not a variable of this program: set {correct_name}, or unset {name}"
        )
    parameters = variables.parameters(environment, model)
    strip_environment(environment)
    check_environment(environment)
    return parameters


def check_provider(parameters: Mapping[str, Any]) -> None:
    """Raise a `RunError` if the model's credentials are missing. Credentials in a Prefect block are not checked."""
    from flows.model.providers import PROVIDERS  # noqa: PLC0415 (pydantic's secrets take a moment to import)

    if not parameters.get("claude_code_block"):
        options = check_before_run(parameters).claude_code_options()
        PROVIDERS[options.provider].connect(None, options.aws_region, options.model_id)
