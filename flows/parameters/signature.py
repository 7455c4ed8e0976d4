"""Provides a decorator that turns the fields of a model into the keyword parameters of a flow."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, cleandoc, signature
from typing import Annotated, Any, Generic, TypeVar, get_args

from pydantic import BaseModel, Field

from flows.parameters import fields

ModelT = TypeVar("ModelT", bound=BaseModel)
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class RawParameters(Generic[ModelT]):
    """The unchecked parameters of a flow run, as the caller passed them.

    A flow checks them in its body, so that a run with a wrong parameter fails with a report.
    """

    model: type[ModelT]
    raw: dict[str, Any]

    def checked(self, **if_empty: Any) -> ModelT:  # noqa: ANN401 (parameters of any type)
        """Return the checked parameters; raise an error of `flows.errors` for the first wrong parameter.

        Args:
            if_empty: Defaults that only the run can compute, by parameter name. A default replaces an empty parameter.
        """
        defaults = {name: value for name, value in if_empty.items() if not self.raw.get(name)}
        return self.model(**{**self.raw, **defaults})


def flow_parameters(function: Callable[[RawParameters[ModelT]], ResultT]) -> Callable[..., ResultT]:
    """Return a function with one keyword parameter for each field of a model. From these, `@flow` builds a form.

    `function` takes one argument, annotated `RawParameters[…]` with the model. Help texts go into the docstring, where
    Prefect looks for them. Titles and rules go into the JSON schema only, so that Prefect does not refuse a call before
    the body runs. The returned function has no `__wrapped__`, because Prefect would otherwise ignore `__signature__`.
    """
    original = signature(function)
    [argument] = original.parameters.values()
    [model] = get_args(argument.annotation)
    parameters = fields.parameters_of(model)

    @wraps(function, assigned=("__module__", "__name__", "__qualname__"))
    def flow_function(**values: Any) -> ResultT:  # noqa: ANN401 (parameters of any type)
        return function(RawParameters(model, values))

    flow_function.__doc__ = f"{cleandoc(function.__doc__ or '')}\n\nArgs:\n" + "\n".join(
        f"    {parameter.name}: {parameter.help}" for parameter in parameters
    )
    del flow_function.__wrapped__
    as_keywords = [_keyword_parameter(parameter) for parameter in parameters]
    flow_function.__signature__ = original.replace(parameters=as_keywords)  # type: ignore[attr-defined]
    return flow_function


def _keyword_parameter(parameter: fields.Parameter) -> Parameter:
    annotation = Annotated[parameter.value_type, Field(json_schema_extra=parameter.form_keywords)]  # type: ignore[name-defined]
    default = Parameter.empty if parameter.is_required else parameter.default
    return Parameter(parameter.name, Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
