"""The documentation matches the code: every error, every parameter, every link, every quotation."""

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
    assert rows == [(leaf.path, leaf.variable) for leaf in leaves_of(ImplementParameters)]
    assert page.count("| `git_credentials_block` |") == 2


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
