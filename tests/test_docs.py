"""The documentation matches the code: every error, every parameter, every link, every quotation."""

import importlib.util
import inspect
import json
import re
import shlex
import tomllib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import click
import pytest
import typer

from deployments.__main__ import app
from deployments.cli import errors as set_up_errors
from flows import errors as run_errors
from flows.parameters.deliver import DeliverParameters
from flows.parameters.fields import leaves_of
from flows.parameters.follow_up import FollowUpParameters
from flows.parameters.implement import ImplementParameters
from flows.parameters.page import with_tables

if TYPE_CHECKING:
    from pydantic import BaseModel

PROJECT = Path(__file__).parents[1]
PAGES = (PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md")))


def errors(module: ModuleType) -> set[str]:
    classes = inspect.getmembers(module, lambda member: inspect.isclass(member) and issubclass(member, Exception))
    return {name for name, error in classes if error.__module__ == module.__name__ and error.__bases__ != (Exception,)}


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_error_has_a_heading_and_every_heading_an_error() -> None:
    headings = re.findall(r"^### (.+)$", (PROJECT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)
    assert len(headings) == len(set(headings))
    assert set(headings) == errors(run_errors) | errors(set_up_errors) | {"InvalidVariable"}


def test_the_tables_of_parameters_match_the_flows() -> None:
    page = (PROJECT / "docs/parameters.md").read_text()
    assert with_tables(page) == page, "make parameters-page writes the tables"
    rows = re.findall(r"^\| `([a-z_.0-9]+)` \| `([A-Z][A-Z0-9_]*)` \|", page, re.MULTILINE)
    leaves = [leaf for model in (ImplementParameters, FollowUpParameters) for leaf in leaves_of(model)]
    assert rows == [(leaf.path, leaf.variable) for leaf in leaves]
    assert page.count("| `git_credentials_block` |") == 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_has_an_existing_target(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


def test_quotations_from_the_sample_instructions_are_exact() -> None:
    sample = (PROJECT / "deployments/local/sample/instructions/main.md").read_text()
    quotations = re.findall(r"^> (.+)$", (PROJECT / "docs/instructions.md").read_text(), re.MULTILINE)
    assert len(quotations) == 6
    for quotation in quotations:
        assert quotation in sample, quotation


def test_every_make_target_in_the_documentation_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        documented = set(re.findall(r"`make ([a-z-]+)", page.read_text()))
        assert documented <= targets, page


def test_the_readme_is_short() -> None:
    assert len((PROJECT / "README.md").read_text().splitlines()) <= 150


def test_the_rooms_for_agents_are_the_layers_of_the_import_contract() -> None:
    contract = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    layers = [set(re.split(r" [|:] ", layer)) for layer in contract["layers"]]
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|", (PROJECT / "AGENTS.md").read_text(), re.MULTILINE)
    rooms = [set[str]() for _ in layers]
    for layer, names in rows:
        rooms[int(layer) - 1] |= set(re.findall(r"`flows/(\w+)", names))
    assert rooms == layers


def commands(page: Path) -> list[str]:
    """Return the commands in a page's blocks of code, each with the lines that continue it."""
    blocks = re.findall(r"^```(?:sh|console)?\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    all_commands: list[str] = []
    for block in blocks:
        command = ""
        for line in block.splitlines():
            command = f"{command}\n{line}" if command else line
            if not command.endswith("\\") and command.count("'") % 2 == 0:
                all_commands.append(command.replace("\\\n", " "))
                command = ""
    programs = r"(\.venv/bin/)?(python|prefect|make|aws|docker|podman|git|pre-commit)\b"
    return [command for command in all_commands if re.match(programs, command)]


def arguments(command: str) -> list[str]:
    """Return a command's words, with a word for each placeholder, and without comments and redirections."""
    text = re.sub(r"<[a-z ]+>", "00000000-0000-0000-0000-000000000000", command)
    words = shlex.split(text, comments=True)
    return words[: words.index("<")] if "<" in words else [word for word in words if word != "&"]


DOCUMENTED = [(page.name, command) for page in (*PAGES, PROJECT / "CONTRIBUTING.md") for command in commands(page)]


@pytest.mark.parametrize(("page", "command"), DOCUMENTED, ids=lambda text: text[:60])
def test_every_documented_command_exists_or_is_marked_as_needing_an_account(page: str, command: str) -> None:
    words = [word.removeprefix(".venv/bin/") for word in arguments(command)]
    assert page
    if words[:3] == ["python", "-m", "deployments"]:
        parse_set_up_command(words[3:])
    elif words[:3] == ["prefect", "deployment", "run"]:
        check_parameters_of_run(words[3:])
    elif words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE)
        assert [word for word in words[1:] if "=" not in word and word not in targets] == []
    elif words[0] == "python":
        assert importlib.util.find_spec(words[2]), command
    else:
        allowed = {("prefect", "server", "start"), ("prefect", "block", "register"), ("pre-commit", "install")}
        is_known = any(tuple(words[: len(known)]) == known for known in allowed)
        assert is_known or "needs an account" in command or words[0] == "git", command


def parse_set_up_command(words: list[str]) -> None:
    """Parse a command of `python -m deployments`, and run nothing."""
    command: click.Command = typer.main.get_command(app)
    while isinstance(command, click.Group):
        name, *words = words
        subcommand = command.commands.get(name)
        assert subcommand is not None, f"there is no command {name}"
        command = subcommand
    command.make_context(command.name or "", words)


def check_parameters_of_run(words: list[str]) -> None:
    """Check that a deployment's flow has the parameters that a documented run sets."""
    deployment, *options = words
    models: dict[str, type[BaseModel]] = {
        "implement": ImplementParameters,
        "deliver": DeliverParameters,
        "follow_up": FollowUpParameters,
    }
    model = models[deployment.partition("/")[0]]
    for option, value in zip(options[::2], options[1::2], strict=False):
        assert option in {"-p", "--params", "--watch", "--job-variable"}, option
        if option == "--job-variable":
            assert value.partition("=")[0] in {"cpu", "memory", "ephemeral_storage", "image"}
            continue
        names = {value.partition("=")[0]} if option == "-p" else set(json.loads(value))
        assert names <= model.model_fields.keys()
