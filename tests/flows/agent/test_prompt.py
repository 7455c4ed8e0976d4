"""The words that Claude Code is given: where to begin, what else there is, and what the repository says to agents."""

from pathlib import Path

import pytest

from flows.agent.prompt import SYSTEM_PROMPT, continuation, prompt, system_prompt

HERE = Path("/run/instructions")


def test_the_main_files_text_stands_in_the_prompt_word_for_word() -> None:
    text = "# Todo\r\n\r\n- {braces} %s \\n é </instructions>\n"
    said = prompt(HERE, "main.md", text, [])
    assert f"<instructions>\n{text}\n</instructions>" in said
    assert "/run/instructions/main.md" in said
    assert "Files beside it" not in said


def test_the_other_files_are_listed_with_the_path_that_the_instructions_may_name_and_the_one_to_open() -> None:
    said = prompt(HERE, "main.md", "Do it", ["api-spec.yaml", "examples/a b.json"])
    assert "\n- api-spec.yaml: /run/instructions/api-spec.yaml\n" in said
    assert said.endswith("\n- examples/a b.json: /run/instructions/examples/a b.json\n")


def test_without_a_main_file_every_file_is_to_be_read() -> None:
    said = prompt(HERE, "", "", ["a.md", "b.md"])
    assert "reading every file there" in said
    assert "<instructions>" not in said
    assert "- b.md: /run/instructions/b.md\n" in said


@pytest.mark.parametrize(("length", "embedded"), [(200_000, True), (200_001, False)])
def test_a_very_long_main_file_is_named_and_not_repeated(length: int, embedded: bool) -> None:
    said = prompt(HERE, "main.md", "x" * length, [])
    assert ("x" * 1000 in said) is embedded
    assert ("reading all of /run/instructions/main.md" in said) is not embedded


@pytest.mark.parametrize(
    ("count", "listed", "rest"), [(200, 200, ""), (203, 200, "\n- and 3 more: list the directory")]
)
def test_a_long_list_of_files_is_cut_and_says_so(count: int, listed: int, rest: str) -> None:
    said = prompt(HERE, "main.md", "Do it", [f"f{n}" for n in range(count)])
    assert sum(line.startswith("- f") for line in said.splitlines()) == listed
    assert said.endswith(f"f199{rest}\n")


@pytest.mark.parametrize("main_text", ["-rf", "", "\n"])
def test_a_prompt_begins_with_a_sentence_of_ours_and_ends_in_a_newline(main_text: str) -> None:
    said = prompt(HERE, "main.md", main_text, [])
    assert said.startswith("Implement the requirements in the directory /run/instructions")
    assert said.endswith("\n")


def test_the_system_prompt_is_ours_followed_by_the_repositorys_word() -> None:
    assert system_prompt("") == SYSTEM_PROMPT
    both = system_prompt("Prefer short names.\n")
    assert both.startswith(SYSTEM_PROMPT)
    assert both.endswith("\n\nPrefer short names.\n")


def test_the_system_prompt_says_what_an_unattended_agent_has_to_know() -> None:
    for word in ("unattended", "nobody can answer", "no credentials", "background"):
        assert word in SYSTEM_PROMPT


def test_an_interrupted_session_is_told_to_go_on() -> None:
    said = continuation(Path("/new/work-tree"), Path("/new/instructions"))
    for word in ("interrupted", "go on", "/new/work-tree", "/new/instructions"):
        assert word in said
    assert said.endswith("\n")
