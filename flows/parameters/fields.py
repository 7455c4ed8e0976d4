"""Reads the descriptions of a flow's parameters from the fields of a pydantic model.

The title, the description and the default are pydantic's own attributes of a field. `Annotated` can add a `FormRule` or
a `Variable` to the field's type.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

_EntryT = TypeVar("_EntryT")


@dataclass(frozen=True)
class FormRule:
    """JSON schema keywords with which Prefect's form and API refuse a value before a run is created.

    The model itself ignores these keywords. Its validators are stricter, and raise errors of `flows.errors`.
    """

    keywords: Mapping[str, Any]


def form_pattern(explanation: str, pattern: str) -> FormRule:
    """Return a rule that the whole text must match `pattern`.

    When Prefect refuses a value, it shows the user only the rule's pattern. The pattern therefore begins with the
    explanation, in a group that matches nothing. `pattern` must mean the same in Python and in JavaScript.
    """
    return FormRule({"pattern": f"({explanation}){{0}}^({pattern})$"})


@dataclass(frozen=True)
class Variable:
    """The environment variable of a parameter.

    A field needs a `Variable` in two cases: the environment variable is not the parameter's name in capitals, or
    pydantic cannot convert the variable's text to the parameter's type. In the second case the function `read` converts
    the text.
    """

    name: str = ""
    read: Callable[[str], Any] | None = None


@dataclass(frozen=True)
class Parameter:
    """One parameter of a flow."""

    name: str
    field: FieldInfo
    group: str = ""
    """The name of the group that the parameter belongs to, such as `limits`; empty if it belongs to no group."""

    @property
    def path(self) -> str:
        """The parameter's name with its group, such as `limits.max_turns`."""
        return f"{self.group}.{self.name}" if self.group else self.name

    @property
    def title(self) -> str:
        """The parameter's label in the form."""
        return self.field.title or ""

    @property
    def help(self) -> str:
        """The parameter's help text: a sentence or two."""
        return self.field.description or ""

    @property
    def is_required(self) -> bool:
        """Whether the parameter has no default."""
        return self.field.is_required()

    @property
    def default(self) -> Any:  # noqa: ANN401 (of the parameter's own type)
        """The value in a run that does not set the parameter."""
        return self.field.default

    @property
    def value_type(self) -> Any:  # noqa: ANN401 (a type, or a form of typing)
        """The type of the value that a caller passes. A validator of the model may convert this value."""
        for validator in self._metadata(BeforeValidator):
            if validator.json_schema_input_type is not PydanticUndefined:
                return validator.json_schema_input_type
        return self.field.annotation

    @property
    def form_keywords(self) -> dict[str, Any]:
        """The parameter's keywords in the form's JSON schema, except type, default and description."""
        keywords = {"title": self.title}
        for rule in self._metadata(FormRule):
            keywords |= rule.keywords
        return keywords

    @property
    def variable(self) -> str:
        """The name of the environment variable from which `python -m flows` reads the parameter."""
        return next((entry.name for entry in self._metadata(Variable) if entry.name), self.name.upper())

    @property
    def reader(self) -> Callable[[str], Any] | None:
        """The function that converts the variable's text to a value; None if the parameter's type defines this."""
        return next((entry.read for entry in self._metadata(Variable) if entry.read), None)

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that the parameter may have; empty if every value of the parameter's type is allowed."""
        return (
            get_args(self.value_type) if get_origin(self.value_type) is Literal else self.form_keywords.get("enum", ())
        )

    @property
    def group_model(self) -> type[BaseModel] | None:
        """The model of the group's parameters; None if the parameter is not a group."""
        return self.value_type if isinstance(self.value_type, type) and issubclass(self.value_type, BaseModel) else None

    def _metadata(self, kind: type[_EntryT]) -> list[_EntryT]:
        return [entry for entry in self.field.metadata if isinstance(entry, kind)]


def parameters_of(model: type[BaseModel], group: str = "") -> list[Parameter]:
    """Return the parameters of a model, in the order of the form. A group counts as one parameter."""
    return [Parameter(name, field, group) for name, field in model.model_fields.items()]


def leaves_of(model: type[BaseModel]) -> list[Parameter]:
    """Return the parameters of a model, in the order of the form. Each group is replaced by its own parameters."""
    leaves: list[Parameter] = []
    for parameter in parameters_of(model):
        group = parameter.group_model
        leaves += parameters_of(group, parameter.name) if group else [parameter]
    return leaves
