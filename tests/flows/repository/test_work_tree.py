"""The agent's work tree: a complete repository that shares clean.git's objects, and cannot change them."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.repository.agent_git import git_as_agent
from flows.repository.git_commands import run_git
from flows.repository.work_tree import create_work_tree
from flows.sandbox import commands
from flows.sandbox.workspace import Workspace, workspace

URL = 'https://git.example/team/a"b.git'
BRANCH = 'feature/a"b'
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="without root the objects are copied")


@pytest.fixture
def work_tree(tmp_path: Path) -> Iterator[tuple[Workspace, str]]:
    """A work tree with one commit, and the id of that commit."""
    seed = tmp_path / "seed"
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    run_git(["init", "--quiet", "--initial-branch=main", str(seed)])
    (seed / "a.txt").write_text("first\n")
    for arguments in (["add", "--all"], [*identity, "commit", "--quiet", "-m", "First"]):
        subprocess.run(["git", "-C", str(seed), *arguments], check=True)
    with workspace() as directories:
        bare = ["clone", "--quiet", "--bare", "--no-local", str(seed), str(directories.clean_git)]
        run_git(bare, config=["protocol.file.allow=always", "fetch.unpackLimit=1"])
        base = run_git(["rev-parse", "main"], git_dir=directories.clean_git).text
        create_work_tree(directories, URL, BRANCH, base)
        yield directories, base


def test_the_work_tree_is_a_clone_of_the_branch_with_its_remote(work_tree: tuple[Workspace, str]) -> None:
    directories, base = work_tree
    assert git_as_agent(directories, "status", "--porcelain", "--branch").text == f"## {BRANCH}"
    assert git_as_agent(directories, "log", "--format=%H").text == base
    assert git_as_agent(directories, "remote", "get-url", "origin").text == URL
    git_as_agent(directories, "fsck", "--strict")
    assert (directories.work_tree / "a.txt").read_text() == "first\n"


def packs(repository: Path) -> dict[str, os.stat_result]:
    return {path.name: path.stat() for path in sorted((repository / "objects" / "pack").iterdir())}


@as_root
def test_packs_are_shared_and_the_agent_can_change_neither_their_bytes_nor_their_mode(
    work_tree: tuple[Workspace, str],
) -> None:
    directories, base = work_tree
    linked, original = packs(directories.work_tree / ".git"), packs(directories.clean_git)
    assert {name: status.st_ino for name, status in linked.items()} == {
        name: status.st_ino for name, status in original.items()
    }
    before = {path: path.read_bytes() for path in (directories.clean_git / "objects" / "pack").iterdir()}
    for script in ('echo x > "$0"', 'echo x >> "$0"', 'chmod u+w "$0"', 'truncate -s 0 "$0"', 'touch -d @0 "$0"'):
        for name in linked:
            pack = directories.work_tree / ".git" / "objects" / "pack" / name
            assert commands.run(directories, ["sh", "-c", script, str(pack)]).status != 0, (script, name)
    assert {path: path.read_bytes() for path in before} == before
    assert all(
        (status.st_uid, status.st_mode & 0o777) == (0, 0o444) for status in packs(directories.clean_git).values()
    )
    assert run_git(["rev-parse", "main"], git_dir=directories.clean_git).text == base


@as_root
def test_changes_to_the_agents_repository_leave_clean_git_intact(work_tree: tuple[Workspace, str]) -> None:
    directories, _ = work_tree
    (directories.work_tree / "a.txt").write_text("second\n")
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    git_as_agent(directories, *identity, "commit", "--quiet", "--all", "-m", "Second")
    git_as_agent(directories, "repack", "--quiet", "-a", "-d")
    commands.check(
        commands.run(directories, ["rm", "-rf", str(directories.work_tree / ".git" / "objects" / "pack")]),
        "remove packs",
    )
    run_git(["fsck", "--full"], git_dir=directories.clean_git)


def test_a_second_try_is_not_hindered_by_leftovers_of_the_first(work_tree: tuple[Workspace, str]) -> None:
    directories, base = work_tree
    create_work_tree(directories, URL, BRANCH, base)
    assert git_as_agent(directories, "status", "--porcelain").text == ""
