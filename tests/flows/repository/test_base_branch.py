"""How a branch compares with the one that it shall be merged into, and what their merge gives."""

import os
from pathlib import Path

import pytest

from flows.repository.base_branch import commit_of_tree, compare, difference, files_left, files_with_markers, merge
from flows.text_safety import is_encodable
from tests.support.commits import commit_of, git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with the branch `main`, and the branch `work` that begins there."""
    commit_of(tmp_path, {"text.txt": "one\ntwo\nthree\n", "other.txt": "same\n"})
    git(tmp_path, "branch", "-M", "main")
    git(tmp_path, "switch", "--quiet", "-c", "work")
    add(tmp_path, {"text.txt": "one\nTWO\nthree\n"})
    return tmp_path


def add(folder: Path, files: dict[str, str]) -> str:
    for name, content in files.items():
        (folder / name).write_text(content)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=x")
    return git(folder, "rev-parse", "HEAD")


def on_main(folder: Path, files: dict[str, str]) -> str:
    git(folder, "switch", "--quiet", "main")
    commit = add(folder, files)
    git(folder, "switch", "--quiet", "work")
    return commit


def fetched(folder: Path) -> tuple[Path, str]:
    git(folder, "update-ref", "refs/remotes/origin/main", "main")
    return folder / ".git", git(folder, "rev-parse", "work")


def test_a_base_that_has_not_moved_has_nothing_to_merge(repository: Path) -> None:
    state = compare(*fetched(repository), "main")
    assert state is not None
    assert (state.has_moved, state.note, state.merge) == (False, "", None)
    assert compare(*fetched(repository), "missing") is None


def test_a_base_that_moved_without_conflicts_is_named(repository: Path) -> None:
    commit = on_main(repository, {"other.txt": "new\n"})
    state = compare(*fetched(repository), "main")
    assert state is not None
    assert state.note == f"main has moved on to {commit[:12]}, without conflicts"
    assert state.merge is not None
    assert git(repository, "show", f"{state.merge.tree}:text.txt") == "one\nTWO\nthree"
    assert git(repository, "show", f"{state.merge.tree}:other.txt") == "new"


def test_conflicts_are_named_and_in_the_files_until_they_are_resolved(repository: Path) -> None:
    other = on_main(repository, {"text.txt": "one\nzwei\nthree\n"})
    git_dir, head = fetched(repository)
    state = compare(git_dir, head, "main")
    assert state is not None
    assert "conflicts with the branch in text.txt: set merge_base=true" in state.note
    merged = merge(git_dir, head, other)
    assert merged is not None
    assert merged.conflicts == ("text.txt",)
    commit = commit_of_tree(git_dir, merged.tree, head)
    assert files_with_markers(git_dir, commit, merged.conflicts) == ("text.txt",)
    resolved = add(repository, {"text.txt": "one\nboth\nthree\n"})
    assert files_with_markers(git_dir, resolved, merged.conflicts) == ()
    assert files_with_markers(git_dir, commit, ()) == ()


def test_a_conflict_without_markers_is_known_until_the_file_is_changed(repository: Path) -> None:
    (repository / "link").symlink_to("ours")
    name = os.fsdecode(b"caf\xe9.txt")
    add(repository, {name: "ours\n"})
    git(repository, "switch", "--quiet", "main")
    (repository / "link").symlink_to("theirs")
    other = add(repository, {name: "theirs\n"})
    git(repository, "switch", "--quiet", "work")
    git_dir, head = fetched(repository)
    merged = merge(git_dir, head, other)
    assert merged is not None
    assert merged.conflicts == (name, "link")
    commit = commit_of_tree(git_dir, merged.tree, head)
    assert files_with_markers(git_dir, commit, merged.conflicts) == (name,)
    assert files_left(git_dir, merged, commit) == (name, "link")
    assert files_left(git_dir, merged, add(repository, {name: "both\n"})) == ("link",)
    state = compare(git_dir, head, "main")
    assert state is not None
    assert is_encodable(state.note)


def test_an_attribute_does_not_choose_how_files_are_merged(repository: Path) -> None:
    add(repository, {".gitattributes": "*.txt merge=union\n"})
    on_main(repository, {"text.txt": "one\nzwei\nthree\n"})
    state = compare(*fetched(repository), "main")
    assert state is not None
    assert state.merge is not None
    assert state.merge.conflicts == ("text.txt",)


def test_unrelated_histories_cannot_be_merged(repository: Path) -> None:
    git(repository, "switch", "--quiet", "--orphan", "else")
    add(repository, {"a": "a\n"})
    git(repository, "update-ref", "refs/remotes/origin/else", "HEAD")
    state = compare(repository / ".git", git(repository, "rev-parse", "work"), "else")
    assert state is not None
    assert (state.has_moved, state.fork, state.merge) == (True, "", None)


def test_a_difference_has_a_limit(repository: Path) -> None:
    git_dir, head = fetched(repository)
    assert "+TWO" in difference(git_dir, "main", head, 10_000)
    assert len(difference(git_dir, "main", head, 10)) == 10
    assert difference(git_dir, "missing", head, 10) == ""
