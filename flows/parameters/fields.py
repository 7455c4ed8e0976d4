"""How a field of a model says what a parameter is, and how the rest of the program reads that.

Title, description and default are pydantic's own. `FormRule` and `Variable` stand beside them in `Annotated`.
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
    """Keywords of JSON schema by which Prefect's form and API refuse a value before there is a run.

    The model does not check them. Its validators are stricter, and raise the errors that have a name.
    """

    keywords: Mapping[str, Any]


def form_pattern(words: str, pattern: str) -> FormRule:
    """Return the rule that a text matches `pattern` as a whole.

    The rule's pattern begins with `words` in a group that matches nothing: Prefect shows the user only the pattern
    of a value that it refuses. `pattern` must mean the same in Python and in JavaScript.
    """
    return FormRule({"pattern": f"({words}){{0}}^({pattern})$"})


@dataclass(frozen=True)
class Variable:
    """The environment variable of a parameter, if it is not the parameter's name in capitals, or not read by type."""

    name: str = ""
    read: Callable[[str], Any] | None = None


@dataclass(frozen=True)
class Parameter:
    """One parameter of a flow."""

    name: str
    field: FieldInfo
    group: str = ""
    """Name of the parameter that this one is a part of, such as `limits`; empty if it stands alone."""

    @property
    def path(self) -> str:
        """The name with its group, as in `limits.max_turns`."""
        return f"{self.group}.{self.name}" if self.group else self.name

    @property
    def title(self) -> str:
        """What the form calls it."""
        return self.field.title or ""

    @property
    def help(self) -> str:
        """A sentence or two about it."""
        return self.field.description or ""

    @property
    def is_required(self) -> bool:
        """Whether it has no default."""
        return self.field.is_required()

    @property
    def default(self) -> Any:  # noqa: ANN401 (of the parameter's own type)
        """The value of a run that does not set it."""
        return self.field.default

    @property
    def value_type(self) -> Any:  # noqa: ANN401 (a type, or a form of typing)
        """The type of the value that a caller gives, which a validator of the model may turn into another type."""
        for validator in self._metadata(BeforeValidator):
            if validator.json_schema_input_type is not PydanticUndefined:
                return validator.json_schema_input_type
        return self.field.annotation

    @property
    def form_keywords(self) -> dict[str, Any]:
        """What the JSON schema of the form says beside type, default and description."""
        keywords = {"title": self.title}
        for rule in self._metadata(FormRule):
            keywords |= rule.keywords
        return keywords

    @property
    def variable(self) -> str:
        """Name of the environment variable of `python -m flows`."""
        return next((entry.name for entry in self._metadata(Variable) if entry.name), self.name.upper())

    @property
    def reader(self) -> Callable[[str], Any] | None:
        """The function that reads the variable's text; None if the type alone says how."""
        return next((entry.read for entry in self._metadata(Variable) if entry.read), None)

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that it may have, if they are few."""
        return (
            get_args(self.value_type) if get_origin(self.value_type) is Literal else self.form_keywords.get("enum", ())
        )

    @property
    def group_model(self) -> type[BaseModel] | None:
        """The model of the parameters in it; None if it is not a group."""
        return self.value_type if isinstance(self.value_type, type) and issubclass(self.value_type, BaseModel) else None

    def _metadata(self, kind: type[_EntryT]) -> list[_EntryT]:
        return [entry for entry in self.field.metadata if isinstance(entry, kind)]


def parameters_of(model: type[BaseModel], group: str = "") -> list[Parameter]:
    """Return the parameters in the order of the form, a group of them as one."""
    return [Parameter(name, field, group) for name, field in model.model_fields.items()]


def leaves_of(model: type[BaseModel]) -> list[Parameter]:
    """Return the parameters in the order of the form, each group replaced by the parameters in it."""
    leaves: list[Parameter] = []
    for parameter in parameters_of(model):
        group = parameter.group_model
        leaves += parameters_of(group, parameter.name) if group else [parameter]
    return leaves
