"""Instruction files: which of them is the main file, and how inline text becomes a file."""

from collections.abc import Iterator

import pytest

from flows.instructions.files import InstructionFile, Instructions, from_text, main_file
from flows.sandbox.workspace import Workspace, workspace


@pytest.mark.parametrize(
    ("paths", "main"),
    [
        ([], ""), (["anything.bin"], "anything.bin"), (["deep/down.txt"], "deep/down.txt"),
        (["main.md", "instructions.md", "README.md", "other.md"], "main.md"),
        (["other.md", "README.md", "instructions.md"], "instructions.md"),
        (["other.md", "README.md", "api.yaml"], "README.md"),
        (["MAIN.MD", "a.md"], "MAIN.MD"), (["todo.markdown", "api.yaml"], "todo.markdown"),
        (["todo.md", "api.yaml", "docs/a.md"], "todo.md"), (["docs/main.md", "todo.md"], "todo.md"),
        (["a.md", "b.md"], ""), (["api.yaml", "b.json"], ""), (["main.md.bak", "docs/main.md"], ""),
    ],
)  # fmt: skip
def test_the_main_file_is_the_only_file_or_one_of_a_known_name_or_the_only_markdown_file_at_the_top(
    paths: list[str], main: str
) -> None:
    assert main_file(paths) == main
    assert main_file(paths[::-1]) == main


@pytest.fixture
def directories() -> Iterator[Workspace]:
    with workspace() as directories:
        yield directories


def test_inline_text_becomes_the_main_file(directories: Workspace) -> None:
    instructions = from_text(directories, "Été\n")
    assert instructions == Instructions("inline", (InstructionFile("instructions.md", 6),), "instructions.md", "Été\n")
    assert (directories.instructions / "instructions.md").read_bytes() == "Été\n".encode()
