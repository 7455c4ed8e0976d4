"""What a repository says to coding agents, read from git's real objects."""

from collections.abc import Callable
from pathlib import Path

import pytest

from flows.repository.project_memory import ProjectMemory, project_memory
from tests.support.commits import commit_of, git

Files = dict[str, str | bytes | Path]


@pytest.fixture
def memory(tmp_path: Path) -> Callable[[Files], ProjectMemory]:
    def read(files: Files) -> ProjectMemory:
        return project_memory(tmp_path / ".git", commit_of(tmp_path, files))

    return read


Read = Callable[[Files], ProjectMemory]


def test_a_repository_that_says_nothing_has_an_empty_memory(memory: Read) -> None:
    assert memory({"README.md": "@CLAUDE.md", "CLAUDE.md/x": "a folder"}) == ProjectMemory("", (), 0, 0, ())


@pytest.mark.parametrize(
    ("files", "used"),
    [
        ({"CLAUDE.md": "c", "AGENTS.md": "a"}, ("CLAUDE.md",)),
        ({"CLAUDE.md": "c", ".claude/CLAUDE.md": "d"}, ("CLAUDE.md", ".claude/CLAUDE.md")),
        ({"CLAUDE.md": " \n", "AGENTS.md": "a"}, ("AGENTS.md",)),
        ({"CLAUDE.md": "same", ".claude/CLAUDE.md": "same"}, ("CLAUDE.md",)),
        ({"CLAUDE.md": Path("AGENTS.md"), "AGENTS.md": "a"}, ("AGENTS.md",)),
        ({".claude/CLAUDE.md": Path("../docs/agents.md"), "docs/agents.md": "a"}, ("docs/agents.md",)),
        ({"CLAUDE.md": "@AGENTS.md", "AGENTS.md": "@CLAUDE.md"}, ("CLAUDE.md", "AGENTS.md")),
        ({"CLAUDE.md": "@CLAUDE.md @./CLAUDE.md @x/../CLAUDE.md"}, ("CLAUDE.md",)),
    ],
    ids=["claude-first", "both", "blank", "copy", "link", "link-from-a-folder", "each-other", "itself"],
)
def test_which_files_are_used_and_each_once(memory: Read, files: Files, used: tuple[str, ...]) -> None:
    result = memory(files)
    assert result.files == used
    assert result.text.count("Contents of ") == len(used)
    assert result.left_out == ()


def test_imports_follow_the_file_that_names_them(memory: Read) -> None:
    result = memory(
        {
            "CLAUDE.md": "# Rules\n\nSee @docs/a.md, and\n- @docs/with\\ space.md#part\n\n> @Makefile.\n",
            "docs/a.md": "Read @deep/b.md and @../root.txt",
            "docs/deep/b.md": "b here",
            "docs/with space.md": "space here",
            "root.txt": "root here",
            "Makefile": "make here",
        }
    )
    assert result.files == ("CLAUDE.md", "docs/a.md", "docs/deep/b.md", "root.txt", "docs/with space.md", "Makefile")
    assert "Contents of docs/deep/b.md, which docs/a.md imports:\n\nb here\n" in result.text
    assert result.text.startswith("Contents of CLAUDE.md:\n\n# Rules\n\nSee @docs/a.md, and\n")


@pytest.mark.parametrize(
    "text",
    ["`@a.md`", "``x ` @a.md``", "```\n@a.md\n```", "~~~text\n@a.md\n~~~", "- x\n\n  ```\n  @a.md\n  ```", "    @a.md",
     "mail me@a.md", "\\@a.md", "(@a.md)", "x `y\n@a.md z`", "<!-- \n@a.md\n-->", "@@a.md", "@ a.md"],
)  # fmt: skip
def test_code_and_other_uses_of_the_sign_import_nothing(memory: Read, text: str) -> None:
    result = memory({"CLAUDE.md": text, "a.md": "imported"})
    assert (result.files, result.left_out) == (("CLAUDE.md",), ())


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("~/notes.md", "a path in a home directory"),
        ("/etc/passwd", "an absolute path"),
        ("../other/x.md", "a path outside the repository"),
        ("docs/../../x.md", "a path outside the repository"),
        ("missing.md", "which does not exist"),
        ("link.md", "which is a link or a submodule"),
        ("folder-link/x.md", "which does not exist"),
    ],
)
def test_what_is_not_a_file_of_the_repository_is_left_as_it_is_and_named(memory: Read, name: str, why: str) -> None:
    files: Files = {"x.md": "secret", "link.md": Path("x.md"), "folder/x.md": "y", "folder-link": Path("folder")}
    result = memory({**files, "CLAUDE.md": f"See @{name} first."})
    assert result.text == f"Contents of CLAUDE.md:\n\nSee @{name} first.\n"
    assert result.left_out == (f"@{name} in CLAUDE.md, {why}",)


@pytest.mark.parametrize("target", ["/etc/shadow", "../../x", "nowhere", "docs", "second"])
def test_a_link_that_leads_to_no_file_of_the_repository_is_named(memory: Read, target: str) -> None:
    result = memory({"CLAUDE.md": Path(target), "docs/x.md": "x", "second": Path("docs/x.md")})
    assert result.text == ""
    assert result.left_out == ("CLAUDE.md, a link that leads to no file of the repository",)


def test_people_packages_and_folders_are_no_missing_files(memory: Read) -> None:
    assert memory({"CLAUDE.md": "Ask @alice about @types/node and @docs or @~ @/ @.", "docs/x": "x"}).left_out == ()


def test_five_imports_deep_is_the_limit(memory: Read) -> None:
    files: Files = {f"{number}.md": f"level {number} @{number + 1}.md" for number in range(1, 8)}
    result = memory({**files, "CLAUDE.md": "@1.md"})
    assert result.files == ("CLAUDE.md", "1.md", "2.md", "3.md", "4.md", "5.md")
    assert result.left_out == ("@6.md in 5.md, more than 5 imports deep",)


def test_sizes_and_counts_are_limited(memory: Read) -> None:
    files: Files = {f"n/{number}.md": f"number {number}" for number in range(150)}
    files |= {"big.md": "x" * 200_001, "binary.png": b"\x89PNG\0", "CLAUDE.md": "@big.md @binary.png\n"}
    files["CLAUDE.md"] = f"{files['CLAUDE.md']!s}{' '.join(f'@n/{number}.md' for number in range(150))}"
    result = memory(files)
    assert len(result.files) == 100
    assert {"big.md, which is too long", "binary.png, which is not text"} <= set(result.left_out)
    assert "n/149.md, after 100 files" in result.left_out


def test_the_beginning_of_a_long_main_file_is_used(memory: Read) -> None:
    result = memory({"CLAUDE.md": "x" * 300_000, ".claude/rules/a.md": "rule"})
    assert len(result.text) == 200_000 + len("Contents of CLAUDE.md:\n\n\n")
    assert result.left_out == ("the end of CLAUDE.md, which is too long", ".claude/rules/a.md, which is too long")


def test_a_flood_of_imports_is_bounded(memory: Read) -> None:
    result = memory({"CLAUDE.md": " ".join(f"@{number}.md" for number in range(20_000))})
    assert len(result.left_out) == 500


def test_rules_for_all_files_are_included_and_others_are_listed_with_their_patterns(memory: Read) -> None:
    result = memory(
        {
            ".claude/rules/all.md": "---\ndescription: x\n---\nAlways test. @shared.md\n",
            ".claude/rules/shared.md": "Shared.",
            ".claude/rules/web/api.md": '---\npaths:\n  - "src/**/*.{ts,tsx}"\n  - lib/*\n---\nOnly for the web.\n',
            ".claude/rules/one.md": "\ufeff---\r\npaths: a/*, b/*\r\n---\r\nText\r\n",
            ".claude/rules/odd.md": "---\n- a list\n---\nOdd.\n",
            ".claude/rules/notes.txt": "no rule",
            ".claude/rules/link.md": Path("../../README.md"),
            "README.md": "no rule",
        }
    )
    assert "Contents of .claude/rules/all.md:\n\nAlways test. @shared.md\n\nContents of" in result.text
    assert "Shared." in result.text
    assert "Odd." in result.text
    assert "Only for the web" not in result.text
    assert "no rule" not in result.text
    assert result.text.endswith(
        "Read these files before you work on files that match their patterns:\n"
        "- .claude/rules/one.md: a/*, b/*\n"
        "- .claude/rules/web/api.md: src/**/*.{ts,tsx}, lib/*\n"
    )
    assert (result.files, result.rules) == ((), 5)
    assert result.left_out == (
        ".claude/rules/link.md, which is a link or a submodule",
        "the front matter of .claude/rules/odd.md, which is not YAML",
    )


def test_the_number_of_rules_is_limited(memory: Read) -> None:
    files: Files = {f".claude/rules/{number:03}.md": f"---\npaths: p{number}\n---\nx" for number in range(130)}
    result = memory({**files, ".claude/rules/000.md": "x" * 200_001})
    assert result.text.splitlines()[1] == "- .claude/rules/001.md: p1"
    assert len(result.text.splitlines()) == 100
    assert result.left_out == ("30 of 130 rules", ".claude/rules/000.md, which is too long")


def test_a_folder_of_rules_that_is_a_link_is_named(memory: Read) -> None:
    result = memory({".claude/rules": Path("../rules"), "rules/a.md": "a"})
    assert result == ProjectMemory("", (), 0, 0, (".claude/rules, which is a link or a submodule",))


def test_files_of_subfolders_are_listed_but_not_read(memory: Read) -> None:
    files: Files = {f"many/{number:03}/CLAUDE.md": f"text {number}" for number in range(120)}
    result = memory(
        {
            **files,
            "CLAUDE.md": "@lib/AGENTS.md",
            "lib/AGENTS.md": "imported",
            "web/CLAUDE.md": "same",
            "web/AGENTS.md": "same",
            "api/AGENTS.md": "hidden text",
            "api/CLAUDE.md": Path("AGENTS.md"),
            "x/notCLAUDE.md": "other",
            ".claude/skills/s/CLAUDE.md": "a skill's own",
        }
    )
    listing = result.text.partition("Read each of these files before you work in its folder:\n")[2].splitlines()
    assert listing[:3] == ["- api/AGENTS.md", "- web/CLAUDE.md", "- many/000/CLAUDE.md"]
    assert listing[-1] == "- and 22 more"
    assert len(listing) == 101
    assert "hidden text" not in result.text
    assert result.listed == 122


def test_hidden_characters_and_odd_names_reach_nobody(memory: Read) -> None:
    text = "visible\U000e0041\U000e0042\u202e \x1b[31mred\x1b[0m"
    result = memory({"CLAUDE.md": text, "a\nb\t\u202e/CLAUDE.md": "x", "\udcff/AGENTS.md": "y"})
    assert "visible red\n" in result.text
    assert "- a b /CLAUDE.md\n" in result.text
    assert "- ?/AGENTS.md\n" in result.text
    result.text.encode()


def test_a_path_that_contains_another_ones_listing_is_not_taken_for_it(memory: Read) -> None:
    result = memory({"x\tCLAUDE.md": "wrong", "x\t.claude/rules/a.md": "wrong", "AGENTS.md": "right"})
    assert result.files == ("AGENTS.md",)
    assert "wrong" not in result.text


def test_only_the_commit_counts_and_not_the_work_tree(tmp_path: Path) -> None:
    commit = commit_of(tmp_path, {"CLAUDE.md": "of the commit @a.md", "a.md": "imported"})
    (tmp_path / "CLAUDE.md").write_text("of the work tree")
    git(tmp_path, "commit", "--all", "--quiet", "--message=later")
    assert "of the commit" in project_memory(tmp_path / ".git", commit).text
