"""The agent's work tree becomes a commit in the agent's own repository."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.errors import GitFailed
from flows.repository.agent_commit import Commit, commit_work_tree, make_readable
from flows.repository.agent_git import git_as_agent
from flows.repository.collection import create_repository
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
    identity = {f"GIT_{role}_{key}": "a@b" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    commands.check(commands.run(directories, line, environment=identity, beside_agent=True), "act as the agent")


def commit(directories: Workspace, *, despite_faults: bool = False) -> Commit:
    repository = create_repository(directories, "collection.git")
    return commit_work_tree(directories, repository, base(directories), REF, despite_faults=despite_faults)


def in_collection(directories: Workspace, *arguments: str) -> str:
    return git_as_agent(directories, *arguments, git_dir=directories.root / "collection.git").text


def changes(directories: Workspace) -> list[str]:
    return in_collection(directories, "diff", "--name-status", base(directories), REF).split()


def test_unchanged_files_are_not_written_again(directories: Workspace) -> None:
    # Timestamps are in whole seconds, and git does not trust those from the second in which it wrote the index.
    time.sleep(1.1)
    as_agent(directories, "echo new > new.txt")
    commit(directories)
    count = in_collection(directories, "count-objects")
    assert count.startswith("3 objects"), "only the new file, the tree and the commit"


def test_the_commit_is_on_top_of_the_base_and_holds_every_change(directories: Workspace) -> None:
    as_agent(directories, "echo new > new.txt; rm 1.txt; echo two > 2.txt")
    tree = commit(directories).tree
    assert in_collection(directories, "rev-parse", f"{REF}^{{tree}}", f"{REF}^").split() == [tree, base(directories)]
    assert changes(directories) == ["D", "1.txt", "M", "2.txt", "A", "new.txt"]


@pytest.mark.parametrize(
    "script",
    [
        "git update-index --skip-worktree 1.txt; echo changed > 1.txt",
        "git update-index --assume-unchanged 1.txt; echo changed > 1.txt",
        "echo changed > 1.txt; mkdir .git/info; echo 1.txt >> .git/info/exclude; git rm -q --cached 1.txt",
        "echo changed > 1.txt; git config core.worktree /; git config core.bare true",
        "git sparse-checkout set --no-cone 1.txt; echo changed > 1.txt",
        "echo changed > 1.txt; mkdir .git/info; echo '* filter=f' > .git/info/attributes; git config filter.f.clean id",
        "echo changed > 1.txt; rm -f .git/index; echo damaged > .git/index",
        "echo changed > 1.txt; git config core.autocrlf input; git config core.safecrlf true",
    ],
    ids=["skip", "assume", "exclude", "bare", "sparse", "filter", "damaged-index", "autocrlf"],
)
def test_neither_the_agents_index_nor_its_configuration_decides_what_changed(
    directories: Workspace, script: str
) -> None:
    as_agent(directories, script)
    commit(directories)
    assert changes(directories) == ["M", "1.txt"]
    assert in_collection(directories, "show", f"{REF}:1.txt") == "changed"


@pytest.mark.skipif(os.geteuid() != 0, reason="root reads every file: the agent has to be another user")
def test_a_file_that_git_cannot_read_fails_the_commit_or_is_left_out_or_made_readable(directories: Workspace) -> None:
    as_agent(directories, "echo closed > closed.txt; mkdir d; echo f > d/f; chmod 000 closed.txt d; echo new > new.txt")
    with pytest.raises(GitFailed, match="closed"):
        commit(directories)
    commit(directories, despite_faults=True)
    assert changes(directories) == ["A", "new.txt"]
    make_readable(directories)
    commit(directories)
    assert changes(directories) == ["A", "closed.txt", "A", "d/f", "A", "new.txt"]


@pytest.mark.parametrize(
    ("script", "files"),
    [
        ("git init -q in; echo f > in/f", ["in/f"]),
        ("git init -q in; cd in; echo f > f; git add .; git commit -qm f; echo g > g", ["in/f", "in/g"]),
        (
            "git init -q in; cd in; echo f > f; git add .; git commit -qm f; git init -q deep; echo g > deep/g",
            ["in/deep/g", "in/f"],
        ),
        ("git init -q in", []),
        ("git worktree add -q in; echo f > in/f", ["in/f"]),
        ("git clone -q . in; echo f > in/f", ["in/f"]),
        ("git init -q 'in side'; echo f > 'in side/f'; git init -q other; echo g > other/g", ["in side/f", "other/g"]),
        ("git init -q in; echo '*.log' > in/.gitignore; echo f > in/f.log; echo g > in/g", ["in/.gitignore", "in/g"]),
    ],
    ids=["without-commit", "with-commit", "two-deep", "empty", "work-tree", "clone", "two", "ignores"],
)
def test_a_repository_inside_is_committed_as_files(directories: Workspace, script: str, files: list[str]) -> None:
    as_agent(
        directories, f"export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=init.defaultBranch GIT_CONFIG_VALUE_0=x; {script}"
    )
    result = commit(directories)
    assert result.nested
    paths = in_collection(directories, "diff", "--name-only", "-z", base(directories), REF).strip("\0").split("\0")
    new = [path for path in paths if path and not path.endswith(".txt")]
    assert new == files
    assert "160000" not in in_collection(directories, "ls-tree", "-r", REF)


def test_a_registered_submodule_stays_a_link_and_its_files_are_known(directories: Workspace) -> None:
    as_agent(
        directories,
        "git init -q in; cd in; echo f > f; git add .; git commit -qm f; cd ..; "
        "printf '[submodule \"in\"]\n\tpath = in\n\turl = https://example.com/in.git\n' > .gitmodules",
    )
    result = commit(directories)
    assert not result.nested
    assert in_collection(directories, "ls-tree", REF, "in").startswith("160000")
    assert in_collection(directories, "ls-tree", "--name-only", result.submodules["in"]) == "f"
