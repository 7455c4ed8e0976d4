"""The agent's work tree becomes a commit in the agent's own repository."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.errors import GitFailed
from flows.repository.agent_commit import commit_work_tree
from flows.repository.agent_git import git_as_agent
from flows.repository.git_commands import run_git
from flows.repository.work_tree import create_work_tree
from flows.sandbox import commands
from flows.sandbox.workspace import Workspace, workspace

REF = "refs/tests/commit"


@pytest.fixture
def directories(tmp_path: Path) -> Iterator[Workspace]:
    seed = tmp_path / "seed"
    for command in (
        ["init", "--quiet", "--initial-branch=main", str(seed)],
        ["-C", str(seed), "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--allow-empty", "-m", "1"],
    ):
        subprocess.run(["git", *command], check=True)
    for number in range(20):
        (seed / f"{number}.txt").write_text(f"{number}\n")
    for command in (["add", "--all"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "2"]):
        subprocess.run(["git", "-C", str(seed), *command], check=True)
    with workspace() as directories:
        run_git(["init", "--quiet", "--bare", "--template=", str(directories.clean_git)])
        fetch = ["fetch", "--quiet", str(seed), "+main:refs/heads/main"]
        config = ["protocol.file.allow=always", "fetch.unpackLimit=1"]
        run_git(fetch, config=config, git_dir=directories.clean_git)
        create_work_tree(directories, "https://example.com/r.git", "main", base(directories))
        yield directories


def base(directories: Workspace) -> str:
    return run_git(["rev-parse", "refs/heads/main"], git_dir=directories.clean_git).text


def as_agent(directories: Workspace, script: str) -> None:
    line = ["sh", "-c", f"cd {directories.work_tree} && {script}"]
    commands.check(commands.run(directories, line, beside_agent=True), "act as the agent")


def test_unchanged_files_are_not_written_again(directories: Workspace) -> None:
    # Timestamps are in whole seconds, and git does not trust those from the second in which it wrote the index.
    time.sleep(1.1)
    as_agent(directories, "echo new > new.txt")
    commit_work_tree(directories, base(directories), REF)
    count = git_as_agent(directories, "count-objects").text
    assert count.startswith("3 objects"), "only the new file, the tree and the commit"


def test_the_commit_is_on_top_of_the_base_and_holds_every_change(directories: Workspace) -> None:
    as_agent(directories, "echo new > new.txt; rm 1.txt; echo two > 2.txt")
    tree = commit_work_tree(directories, base(directories), REF)
    assert git_as_agent(directories, "rev-parse", f"{REF}^{{tree}}", f"{REF}^").text.split() == [
        tree,
        base(directories),
    ]
    changed = git_as_agent(directories, "diff", "--name-status", base(directories), REF).text.split()
    assert changed == ["D", "1.txt", "M", "2.txt", "A", "new.txt"]


def test_a_file_that_git_cannot_add_fails_the_commit_or_is_left_out(directories: Workspace) -> None:
    # git cannot add a nested repository that has no commit.
    as_agent(directories, "git -c init.defaultBranch=x init --quiet inner; echo new > new.txt")
    with pytest.raises(GitFailed, match="does not have a commit checked out"):
        commit_work_tree(directories, base(directories), REF)
    commit_work_tree(directories, base(directories), REF, despite_faults=True)
    assert git_as_agent(directories, "diff", "--name-only", base(directories), REF).text == "new.txt"


def test_a_separate_index_starts_as_a_copy_and_leaves_the_agents_index_unchanged(directories: Workspace) -> None:
    as_agent(directories, "echo new > new.txt")
    index = directories.tmp / "other.index"
    commit_work_tree(directories, base(directories), REF, index=index)
    assert index.exists()
    assert git_as_agent(directories, "status", "--porcelain").text == "?? new.txt"
