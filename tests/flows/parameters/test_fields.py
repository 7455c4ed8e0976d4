"""Every field of the parameters has a title and a help text, and the product reads it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from flows.parameters.change_policy import ChangePolicy
from flows.parameters.claude_code import ClaudeCodeOptions
from flows.parameters.deliver import DeliverParameters
from flows.parameters.fields import leaves_of, parameters_of
from flows.parameters.implement import ImplementParameters
from flows.parameters.limits import Limits

PROJECT = Path(__file__).parents[3]
MODELS: list[type[BaseModel]] = [ImplementParameters, DeliverParameters, ClaudeCodeOptions, Limits, ChangePolicy]


def attributes_read() -> set[str]:
    """Return the names of all attributes that the product reads.

    In flows/parameters, only reads in properties count. In flows/checks, the name of a policy's field may be a string.
    """
    names: set[str] = set()
    for path in [*(PROJECT / "flows").rglob("*.py"), *(PROJECT / "blocks").rglob("*.py")]:
        tree = ast.parse(path.read_text())
        roots = properties(tree) if path.parent == PROJECT / "flows/parameters" else [tree]
        nodes = [node for root in roots for node in ast.walk(root)]
        names |= {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}
        if path.parent == PROJECT / "flows/checks":
            names |= {str(node.value) for node in nodes if isinstance(node, ast.Constant)}
    return names


def properties(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and any(ast.unparse(each) == "property" for each in node.decorator_list):
            yield node


@pytest.mark.parametrize("model", MODELS)
def test_every_field_is_read_outside_its_model(model: type[BaseModel]) -> None:
    assert set(model.model_fields) - attributes_read() == set()


def test_a_field_that_no_code_reads_is_detected() -> None:
    assert {"clone_depth", "git_lfs"} - attributes_read() == {"git_lfs"}


@pytest.mark.parametrize("model", MODELS)
def test_every_field_has_a_title_and_help(model: type[BaseModel]) -> None:
    for parameter in (*parameters_of(model), *leaves_of(model)):
        assert parameter.title, parameter.path
        assert parameter.help.endswith((".", "repository.git")), parameter.path


def test_claude_codes_options_have_the_same_defaults_in_a_run_and_in_a_block() -> None:
    for name, field in ClaudeCodeOptions.model_fields.items():
        assert ImplementParameters.model_fields[name].default == field.default
