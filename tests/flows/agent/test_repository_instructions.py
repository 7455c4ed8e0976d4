"""What the log and the report say of a repository's files for agents."""

from pathlib import Path

from flows.agent.repository_instructions import read_repository_instructions
from tests.support.commits import commit_of


def test_what_is_used_is_named_in_full_and_in_short(tmp_path: Path) -> None:
    commit = commit_of(
        tmp_path,
        {
            "CLAUDE.md": "@a.md @b.md @c.md @d.md",
            **{f"{name}.md": name for name in "abcd"},
            ".claude/rules/x.md": "x",
            ".claude/skills/one/SKILL.md": "x",
            ".claude/skills/two/SKILL.md": "x",
            ".claude/commands/fix.md": "x",
        },
    )
    instructions = read_repository_instructions(tmp_path / ".git", commit)
    assert instructions.summary == "CLAUDE.md, a.md, b.md, 2 more files, 1 rule, 2 skills, 1 command"
    assert instructions.names == "CLAUDE.md, a.md, b.md, c.md, d.md, 1 rule, skill one, skill two, command fix"
    assert instructions.left_out == ""


def test_a_repository_without_such_files_says_nothing(tmp_path: Path) -> None:
    instructions = read_repository_instructions(tmp_path / ".git", commit_of(tmp_path, {"README.md": "x"}))
    assert (instructions.summary, instructions.names, instructions.left_out) == ("", "", "")


def test_the_log_names_a_limited_number(tmp_path: Path) -> None:
    commands = {f".claude/commands/c{number:02}.md": "---\nmodel: x\n---\n" for number in range(30)}
    instructions = read_repository_instructions(tmp_path / ".git", commit_of(tmp_path, commands))
    assert instructions.summary == "30 commands"
    assert instructions.names.endswith(", command c19, and 10 more")
    assert instructions.left_out.endswith("c19.md, of which model; and 10 more")
