"""The documentation holds what the code does: every error, every parameter, every link, every quotation."""

import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

from deployments.cli import errors as set_up_errors
from flows import errors as run_errors
from flows.parameters.fields import leaves_of
from flows.parameters.implement import ImplementParameters
from flows.parameters.page import with_tables

PROJECT = Path(__file__).parents[1]
PAGES = (PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md")))


def errors(module: ModuleType) -> set[str]:
    found = inspect.getmembers(module, lambda one: inspect.isclass(one) and issubclass(one, Exception))
    return {name for name, error in found if error.__module__ == module.__name__ and error.__bases__ != (Exception,)}


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_error_has_its_heading_and_every_heading_its_error() -> None:
    headings = re.findall(r"^### (.+)$", (PROJECT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)
    assert len(headings) == len(set(headings))
    assert set(headings) == errors(run_errors) | errors(set_up_errors) | {"InvalidVariable"}


def test_the_tables_of_parameters_are_those_of_the_flows() -> None:
    page = (PROJECT / "docs/parameters.md").read_text()
    assert with_tables(page) == page, "make parameters-page writes the tables"
    rows = re.findall(r"^\| `([a-z_.0-9]+)` \| `([A-Z][A-Z0-9_]*)` \|", page, re.MULTILINE)
    assert rows == [(leaf.path, leaf.variable) for leaf in leaves_of(ImplementParameters)]
    assert page.count("| `git_credentials_block` |") == 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


def test_what_is_quoted_of_the_sample_instructions_is_in_them() -> None:
    sample = (PROJECT / "deployments/local/sample/instructions/main.md").read_text()
    quoted = re.findall(r"^> (.+)$", (PROJECT / "docs/instructions.md").read_text(), re.MULTILINE)
    assert len(quoted) == 6
    for words in quoted:
        assert words in sample, words


def test_every_make_target_that_is_named_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"`make ([a-z-]+)", page.read_text()))
        assert named <= targets, page


def test_the_first_page_is_read_in_one_go() -> None:
    assert len((PROJECT / "README.md").read_text().splitlines()) <= 150
