"""The agent's work tree as a commit in the agent's repository."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.errors import GitFailed
from flows.repository.agent_commit import commit_work_tree
from flows.repository.agent_git import git_as_agent
from flows.repository.git_commands import run_git
from flows.repository.work_tree import cut_work_tree
from flows.sandbox import commands
from flows.sandbox.workspace import Workspace, workspace

REF = "refs/made/here"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Workspace]:
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
    with workspace() as place:
        run_git(["init", "--quiet", "--bare", "--template=", str(place.clean_git)])
        fetch = ["fetch", "--quiet", str(seed), "+main:refs/heads/main"]
        config = ["protocol.file.allow=always", "fetch.unpackLimit=1"]
        run_git(fetch, config=config, git_dir=place.clean_git)
        cut_work_tree(place, "https://example.com/r.git", "main", base(place))
        yield place


def base(place: Workspace) -> str:
    return run_git(["rev-parse", "refs/heads/main"], git_dir=place.clean_git).text


def as_agent(place: Workspace, script: str) -> None:
    line = ["sh", "-c", f"cd {place.work_tree} && {script}"]
    commands.check(commands.run(place, line, beside_agent=True), "act as the agent")


def test_what_is_as_it_was_is_not_written_again(made: Workspace) -> None:
    time.sleep(1.1)  # git's stamps are of whole seconds: in the one of the checkout anything may have changed
    as_agent(made, "echo new > new.txt")
    commit_work_tree(made, base(made), REF)
    counted = git_as_agent(made, "count-objects").text
    assert counted.startswith("3 objects"), "the new file, the tree and the commit"


def test_it_is_on_top_of_the_base_and_has_everything(made: Workspace) -> None:
    as_agent(made, "echo new > new.txt; rm 1.txt; echo two > 2.txt")
    tree = commit_work_tree(made, base(made), REF)
    assert git_as_agent(made, "rev-parse", f"{REF}^{{tree}}", f"{REF}^").text.split() == [tree, base(made)]
    changed = git_as_agent(made, "diff", "--name-status", base(made), REF).text.split()
    assert changed == ["D", "1.txt", "M", "2.txt", "A", "new.txt"]


def test_a_file_that_git_cannot_take_is_a_failure_or_left_out(made: Workspace) -> None:
    as_agent(made, "git -c init.defaultBranch=x init --quiet inner; echo new > new.txt")  # of no commit
    with pytest.raises(GitFailed, match="does not have a commit checked out"):
        commit_work_tree(made, base(made), REF)
    commit_work_tree(made, base(made), REF, despite_faults=True)
    assert git_as_agent(made, "diff", "--name-only", base(made), REF).text == "new.txt"


def test_an_index_of_its_own_begins_as_the_agents_and_leaves_that_alone(made: Workspace) -> None:
    as_agent(made, "echo new > new.txt")
    index = made.tmp / "other.index"
    commit_work_tree(made, base(made), REF, index=index)
    assert index.exists()
    assert git_as_agent(made, "status", "--porcelain").text == "?? new.txt"
