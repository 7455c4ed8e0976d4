"""The repository's skills, subagents and commands: what is used of them, and what is left out."""

from collections.abc import Callable
from pathlib import Path

import pytest

from flows.agent.config_folder import new_config_folder
from flows.agent.extensions import ExtensionFile, Extensions, read_extensions, write_extensions
from flows.repository.front_matter import parse
from flows.sandbox import commands
from flows.sandbox.workspace import workspace
from tests.support.commits import commit_of

Files = dict[str, str | bytes | Path]
Read = Callable[[Files], Extensions]
SUBAGENT = "---\nname: {}\ndescription: Reviews\n---\nReview it.\n"


@pytest.fixture
def extensions(tmp_path: Path) -> Read:
    def read(files: Files) -> Extensions:
        commit = commit_of(tmp_path, {f".claude/{path}": content for path, content in files.items()})
        return read_extensions(tmp_path / ".git", commit)

    return read


def written(extensions: Extensions) -> dict[str, str]:
    return {file.path: file.content.decode() for file in extensions.files}


def test_a_skill_is_used_with_its_other_files(extensions: Read) -> None:
    result = extensions(
        {
            "skills/release/SKILL.md": "---\nname: release\ndescription: Makes a release\n---\nRun run.sh\n",
            "skills/release/run.sh": "#!/bin/sh\n",
            "skills/release/docs/data.bin": b"\0\1",
            "skills/loose.md": "no skill",
            "skills/empty/README.md": "no skill",
            "settings.json": "{}",
        }
    )
    assert result == Extensions(
        [
            ExtensionFile(
                "skills/release/SKILL.md",
                b'---\nname: "release"\ndescription: "Makes a release"\n---\nRun run.sh\n',
            ),
            ExtensionFile("skills/release/docs/data.bin", b"\0\1"),
            ExtensionFile("skills/release/run.sh", b"#!/bin/sh\n", is_executable=True),
        ],
        skills=["release"],
    )


def test_a_subagent_keeps_its_name_description_and_the_tools_that_a_run_offers(extensions: Read) -> None:
    text = (
        "---\nname: reviewer\ndescription: >\n  Reviews\n  code\ntools: Read, mcp__x__y, Bash(rm *), Grep\n---\nGo.\n"
    )
    result = extensions({"agents/team/r.md": text})
    assert written(result) == {
        "agents/reviewer.md": '---\nname: "reviewer"\ndescription: "Reviews code"\ntools: "Read, Grep"\n---\nGo.\n'
    }
    assert result.subagents == ["reviewer"]
    assert result.tools == {"Read", "Grep"}
    assert result.left_out == [".claude/agents/team/r.md, of which the tool mcp__x__y, the tool Bash(rm *)"]


@pytest.mark.parametrize("tools", ["", "'*'", "[Read, '*']"])
def test_a_subagent_that_names_no_tools_has_all_of_the_runs(extensions: Read, tools: str) -> None:
    text = f"---\nname: a\ndescription: b\ntools: {tools}\n---\n"
    assert "tools" not in parse(written(extensions({"agents/a.md": text}))["agents/a.md"]).fields


def test_a_command_keeps_its_description_and_hint_and_its_folder(extensions: Read) -> None:
    result = extensions(
        {
            "commands/web/fix.md": "---\ndescription: Fixes\nargument-hint: [issue] [more]\n---\nFix $ARGUMENTS\n",
            "commands/plain.md": "Do it\n",
            "commands/notes.txt": "no command",
        }
    )
    assert written(result) == {
        "commands/plain.md": "---\n---\nDo it\n",
        "commands/web/fix.md": '---\ndescription: "Fixes"\nargument-hint: "[issue] [more]"\n---\nFix $ARGUMENTS\n',
    }
    assert result.commands == ["plain", "web:fix"]
    assert result.left_out == []


@pytest.mark.parametrize("path", ["skills/a/SKILL.md", "agents/b.md", "commands/c.md"])
def test_every_other_field_is_left_out_and_named(extensions: Read, path: str) -> None:
    harmful = (
        "hooks:\n  SessionStart: [{hooks: [{type: command, command: touch x}]}]\nmcpServers: {x: {command: y}}\n"
        "model: opus\npermissionMode: bypassPermissions\nallowed-tools: Bash(*)\ncontext: fork\nsettings: {}\n"
    )
    result = extensions({path: f"---\nname: a\ndescription: b\n{harmful}---\nBody\n"})
    [text] = written(result).values()
    assert parse(text).fields.keys() <= {"name", "description"}
    names = "hooks, mcpServers, model, permissionMode, allowed-tools, context, settings"
    assert result.left_out == [f".claude/{path}, of which {names}"]


@pytest.mark.parametrize(
    "text",
    [
        "!`touch x`",
        "a !`touch x`",
        "!!`touch x`",
        "\ufeff!`touch x`",
        "\u2028!`touch x`",
        "\uffff!`touch x`",
        "`!`touch x``",
        "```!touch x```",
        "```!\ntouch x\n```",
        "```! \n touch x\n```",
        "````!! x\n````",
    ],
)
def test_no_mark_for_a_command_is_left(extensions: Read, text: str) -> None:
    result = extensions({"commands/a.md": f"Before {text} after!\n{text}\n"})
    [content] = written(result).values()
    assert "!`" not in content
    assert "```!" not in content
    assert "touch x" in content or "x\n" in content
    assert "after!" in content
    assert result.left_out == [".claude/commands/a.md, of which the execution of commands in its text"]


@pytest.mark.parametrize("value", ["a --- b", "---", "x\n  ---\n  hooks: y", '"a\\n---\\nhooks: y"', "\u202eabc\x07"])
def test_no_value_ends_the_front_matter_early(extensions: Read, value: str) -> None:
    [text] = written(extensions({"commands/a.md": f"---\ndescription: {value}\n---\nBody\n"})).values()
    assert text.count("---") == 2
    assert "\nhooks" not in text
    assert text.endswith("---\nBody\n")
    assert text.isprintable() or text.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("path", "text", "why"),
    [
        ("agents/a.md", "---\ndescription: b\n---\n", "whose front matter has no name or no description"),
        ("agents/a.md", "no front matter", "whose front matter has no name or no description"),
        ("agents/a.md", "---\n- name: a\n---\n", "whose front matter has no name or no description"),
        ("agents/a.md", SUBAGENT.format("General-Purpose"), "which has the name of a subagent of Claude Code"),
        ("agents/a.md", SUBAGENT.format("../../x"), "which has an unusual name"),
        ("agents/a.md", SUBAGENT.format("a:b/c"), "which has an unusual name"),
        ("agents/a.md", "---\nname: a\ndescription: b\ntools: mcp__x\n---\n", "whose tools do not exist in a run"),
        ("agents/a.md", "---\nname: a\ndescription: b\ntools: {}\n---\n", "whose tools do not exist in a run"),
        ("skills/.hidden/SKILL.md", "x", "which has an unusual name"),
        ("skills/a b/SKILL.md", "x", "which has an unusual name"),
        ("skills/a/SKILL.md", "---\ndisable-model-invocation: true\n---\nx", "which only people may start"),
        ("skills/a/SKILL.md", "---\ndisable-model-invocation: True\n---\nx", "which only people may start"),
        ("skills/a/SKILL.md", Path("../../x"), "which is a link or a submodule"),
        ("skills/a", Path("../x"), "which is a link or a submodule"),
        ("agents", Path("x"), "which is a link or a submodule"),
        ("commands/a/SKILL.md", "x", "which has an unusual name"),
        ("commands/-a.md", "x", "which has an unusual name"),
        ("commands/a/b/c/d/e.md", "x", "which has an unusual name"),
        ("commands/a:b.md", "x", "which has an unusual name"),
        pytest.param("commands/a.md", "x" * (2**20 + 1), "over the limit of 100 files and 1 MiB", id="large"),
    ],
)
def test_what_cannot_be_used_is_named(extensions: Read, path: str, text: str | Path, why: str) -> None:
    result = extensions({path: text, "x": "target"})
    assert result.files == []
    assert result.left_out == [f".claude/{path}, {why}"]


def test_hidden_files_and_other_skill_files_in_a_skill_are_left_out(extensions: Read) -> None:
    names = (".claude-plugin/plugin.json", ".mcp.json", "sub/SKILL.md", "skill.md", "s\u212aill.md", "a\nb", "link")
    files: Files = {f"skills/s/{name}": Path("/etc/passwd") if name == "link" else "{}" for name in names}
    result = extensions({**files, "skills/s/SKILL.md": "x", "skills/s/hooks/hooks.json": "{}"})
    assert list(written(result)) == ["skills/s/SKILL.md", "skills/s/hooks/hooks.json"]
    assert len(result.left_out) == len(names)


def test_two_extensions_with_one_name_are_one(extensions: Read) -> None:
    result = extensions(
        {
            "skills/fix/SKILL.md": "x",
            "skills/Fix/SKILL.md": "x",
            "commands/fix.md": "x",
            "agents/a.md": SUBAGENT.format("a"),
            "agents/b.md": SUBAGENT.format("A"),
        }
    )
    assert (result.skills, result.subagents, result.commands) == (["Fix"], ["a"], [])
    assert [text.partition(", ")[2] for text in result.left_out] == ["whose name is taken"] * 3


def test_numbers_and_sizes_are_limited_and_definitions_come_first(extensions: Read) -> None:
    files: Files = {f"skills/a/data/{number:03}": str(number) for number in range(120)}
    files |= {"skills/a/SKILL.md": "x", "skills/a/big": "x" * 2**20, "commands/z.md": "z"}
    result = extensions(files)
    assert len(result.files) == 100
    assert [file.path for file in result.files[:3]] == ["skills/a/SKILL.md", "commands/z.md", "skills/a/data/000"]
    assert sum(len(file.content) for file in result.files) <= 2**20
    assert ".claude/skills/a/big, over the limit of 100 files and 1 MiB" in result.left_out
    assert len(result.left_out) == 23


def test_they_are_written_as_the_agents_user_without_following_its_links(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "keep").touch()
    target.chmod(0o777)
    tmp_path.chmod(0o755)
    files = [ExtensionFile("skills/a/run.sh", b"#!/bin/sh\necho ran\n", is_executable=True)]
    with workspace() as directories:
        folder = directories.claude_folder
        new_config_folder(directories, "", b"")
        script = f"ln -s {target} {folder}/skills; mkdir {folder}/agents; touch {folder}/agents/old.md"
        commands.check(commands.run(directories, ["sh", "-c", script]), "plant a link")
        write_extensions(directories, Extensions(files))
        result = commands.run(directories, [str(folder / "skills" / "a" / "run.sh")])
        assert result.text == "ran"
        assert (folder / "skills").stat().st_uid == directories.home.stat().st_uid
        assert not (folder / "agents").exists()
    assert [path.name for path in target.iterdir()] == ["keep"]
