"""The agent's work tree: a whole repository, whose objects are clean.git's own and cannot be changed through it."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.repository.agent_git import git_as_agent
from flows.repository.git_commands import run_git
from flows.repository.work_tree import cut_work_tree
from flows.sandbox import commands
from flows.sandbox.workspace import Workspace, workspace

URL = 'https://git.example/team/a"b.git'
BRANCH = 'feature/a"b'
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="without root the objects are copied")


@pytest.fixture
def cut(tmp_path: Path) -> Iterator[tuple[Workspace, str]]:
    """A work tree of one commit, and the commit."""
    seed = tmp_path / "seed"
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    run_git(["init", "--quiet", "--initial-branch=main", str(seed)])
    (seed / "a.txt").write_text("first\n")
    for arguments in (["add", "--all"], [*identity, "commit", "--quiet", "-m", "First"]):
        subprocess.run(["git", "-C", str(seed), *arguments], check=True)
    with workspace() as made:
        bare = ["clone", "--quiet", "--bare", "--no-local", str(seed), str(made.clean_git)]
        run_git(bare, config=["protocol.file.allow=always", "fetch.unpackLimit=1"])
        base = run_git(["rev-parse", "main"], git_dir=made.clean_git).text
        cut_work_tree(made, URL, BRANCH, base)
        yield made, base


def test_it_is_a_clone_of_the_branch_with_its_remote(cut: tuple[Workspace, str]) -> None:
    made, base = cut
    assert git_as_agent(made, "status", "--porcelain", "--branch").text == f"## {BRANCH}...origin/{BRANCH}"
    assert git_as_agent(made, "log", "--format=%H").text == base
    assert git_as_agent(made, "remote", "get-url", "origin").text == URL
    assert git_as_agent(made, "symbolic-ref", "refs/remotes/origin/HEAD").text == f"refs/remotes/origin/{BRANCH}"
    git_as_agent(made, "fsck", "--strict")
    assert (made.work_tree / "a.txt").read_text() == "first\n"


def packs(repository: Path) -> dict[str, os.stat_result]:
    return {path.name: path.stat() for path in sorted((repository / "objects" / "pack").iterdir())}


@as_root
def test_its_packs_are_clean_gits_and_the_agent_can_change_neither_bytes_nor_mode(cut: tuple[Workspace, str]) -> None:
    made, base = cut
    theirs, ours = packs(made.work_tree / ".git"), packs(made.clean_git)
    assert {name: at.st_ino for name, at in theirs.items()} == {name: at.st_ino for name, at in ours.items()}
    before = {path: path.read_bytes() for path in (made.clean_git / "objects" / "pack").iterdir()}
    for script in ('echo x > "$0"', 'echo x >> "$0"', 'chmod u+w "$0"', 'truncate -s 0 "$0"', 'touch -d @0 "$0"'):
        for name in theirs:
            pack = made.work_tree / ".git" / "objects" / "pack" / name
            assert commands.run(made, ["sh", "-c", script, str(pack)]).status != 0, (script, name)
    assert {path: path.read_bytes() for path in before} == before
    assert all((at.st_uid, at.st_mode & 0o777) == (0, 0o444) for at in packs(made.clean_git).values())
    assert run_git(["rev-parse", "main"], git_dir=made.clean_git).text == base


@as_root
def test_what_the_agent_does_to_its_repository_leaves_clean_git_whole(cut: tuple[Workspace, str]) -> None:
    made, _ = cut
    (made.work_tree / "a.txt").write_text("second\n")
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    git_as_agent(made, *identity, "commit", "--quiet", "--all", "-m", "Second")
    git_as_agent(made, "repack", "--quiet", "-a", "-d")
    commands.check(commands.run(made, ["rm", "-rf", str(made.work_tree / ".git" / "objects" / "pack")]), "remove packs")
    run_git(["fsck", "--full"], git_dir=made.clean_git)


def test_a_second_try_finds_nothing_of_the_first_in_its_way(cut: tuple[Workspace, str]) -> None:
    made, base = cut
    cut_work_tree(made, URL, BRANCH, base)
    assert git_as_agent(made, "status", "--porcelain").text == ""
