"""A flow's flat parameters, made from the model that describes them."""

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
    """A flow run's parameters as the caller gave them.

    A flow checks them in its body, so that a run with wrong parameters is a failed run with a report.
    """

    model: type[ModelT]
    raw: dict[str, Any]

    def checked(self, **if_empty: Any) -> ModelT:  # noqa: ANN401 (parameters of any type)
        """Return the checked parameters; raise the named error of the first that is wrong.

        Args:
            if_empty: Values in place of parameters that are empty, for defaults that only the run knows.
        """
        replaced = {name: value for name, value in if_empty.items() if not self.raw.get(name)}
        return self.model(**{**self.raw, **replaced})


def flow_parameters(function: Callable[[RawParameters[ModelT]], ResultT]) -> Callable[..., ResultT]:
    """Give a function the fields of its model as keyword parameters, from which `@flow` makes a form.

    The function takes one argument, annotated `RawParameters[…]` with the model. Help goes into the docstring, where
    Prefect looks for it. Titles and rules go into the JSON schema alone, so that no call is refused before the body
    runs. Prefect reads `__signature__` only if there is no `__wrapped__`.
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
