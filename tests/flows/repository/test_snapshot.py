"""Snapshots of the work tree: taken beside the agent, restored elsewhere, and identical if nothing is new."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from git import RemoteProgress
from pydantic import SecretStr

from deployments.local.git_remote import GitRemote
from flows.errors import GitFailed
from flows.parameters.addresses import RepoUrl
from flows.repository import snapshot
from flows.repository.agent_git import git_as_agent
from flows.repository.clone import Checkout, clone
from flows.repository.collect import CommitIdentity, collect
from flows.repository.credentials import GitCredentials
from flows.repository.remote import Remote
from flows.repository.work_tree import renew_work_tree
from flows.sandbox import commands
from flows.sandbox.workspace import Workspace, workspace


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitRemote]:
    (tmp_path / "seed").mkdir()
    (tmp_path / "served").mkdir()
    (tmp_path / "seed" / "a.txt").write_text("a\n")
    (tmp_path / "seed" / "b.txt").write_text("b\n")
    with GitRemote(tmp_path / "served", "token") as git_remote:
        git_remote.create("r", tmp_path / "seed")
        yield git_remote


def checked_out(directories: Workspace, server: GitRemote) -> Checkout:
    remote = Remote(
        RepoUrl.parse(f"{server.url}/r.git"),
        GitCredentials(SecretStr("token"), "bot@example.com", "u"),
        directories.trusted,
    )
    return clone(
        directories,
        remote,
        branch="new",
        base_branch="",
        depth=50,
        allow_default_branch=False,
        progress=RemoteProgress(),
    )


def as_agent(directories: Workspace, script: str) -> None:
    line = ["sh", "-c", f"cd {directories.work_tree} && {script}"]
    commands.check(commands.run(directories, line, beside_agent=True), "act as the agent")


def test_a_snapshot_is_restored_as_uncommitted_changes(server: GitRemote) -> None:
    with workspace() as directories:
        base = checked_out(directories, server).base_commit
        as_agent(directories, "echo 2 >> a.txt; rm b.txt; mkdir d; echo n > d/n.txt; chmod +x a.txt")
        commit = snapshot.take(directories, base)
        bundle = snapshot.bundle(directories, base)
        assert git_as_agent(directories, "diff", "--cached", "--name-only").text == "", (
            "a snapshot leaves the agent's index unchanged"
        )
    with workspace() as other:
        checked_out(other, server)
        snapshot.restore(other, bundle, commit, base)
        assert (other.work_tree / "a.txt").read_text() == "a\n2\n"
        status = git_as_agent(other, "status", "--porcelain", "--untracked-files=all").text
        assert status.splitlines() == [" M a.txt", " D b.txt", "?? d/n.txt"]
        assert git_as_agent(other, "rev-parse", "HEAD").text == base
        assert snapshot.take(other, base) == commit


def test_the_files_of_a_commit_are_restored_in_the_same_way(server: GitRemote) -> None:
    identity = CommitIdentity("bot@example.com", datetime(2026, 11, 28, tzinfo=UTC), "Work\n")
    with workspace() as directories:
        checkout = checked_out(directories, server)
        as_agent(directories, "echo 2 >> a.txt; rm b.txt; echo n > n.txt")
        change = collect(directories, checkout, identity)
        renew_work_tree(directories, checkout.branch, checkout.base_commit)
        snapshot.restore_commit(directories, change.commit, checkout.base_commit)
        assert (directories.work_tree / "a.txt").read_text() == "a\n2\n"
        status = git_as_agent(directories, "status", "--porcelain").text
        assert status.splitlines() == [" M a.txt", " D b.txt", "?? n.txt"]
        assert collect(directories, checkout, identity).commit == change.commit


def test_a_restored_snapshot_is_no_work_left_aside(server: GitRemote) -> None:
    with workspace() as directories:
        checkout = checked_out(directories, server)
        as_agent(directories, "echo 2 >> a.txt")
        commit = snapshot.take(directories, checkout.base_commit)
        snapshot.restore(directories, snapshot.bundle(directories, checkout.base_commit), commit, checkout.base_commit)
        as_agent(directories, "echo w > w.txt")
        identity = CommitIdentity("bot@example.com", datetime(2026, 11, 27, tzinfo=UTC), "Implement\n")
        change = collect(directories, checkout, identity)
        assert {file.path for file in change.files} == {"a.txt", "w.txt"}
        assert change.left_aside == ()


def test_a_snapshot_is_the_base_if_nothing_changed_and_the_same_commit_if_nothing_is_new(server: GitRemote) -> None:
    with workspace() as directories:
        base = checked_out(directories, server).base_commit
        assert snapshot.take(directories, base) == base
        as_agent(directories, "echo 2 >> a.txt")
        first = snapshot.take(directories, base)
        assert snapshot.take(directories, base) == first != base
        as_agent(directories, "echo 3 >> a.txt")
        assert snapshot.take(directories, base) not in {first, base}


def test_a_broken_repository_cannot_be_snapshotted(server: GitRemote) -> None:
    with workspace() as directories:
        base = checked_out(directories, server).base_commit
        as_agent(directories, "rm -rf .git")
        with pytest.raises(GitFailed):
            snapshot.take(directories, base)


def test_the_agent_keeps_running_during_a_snapshot(server: GitRemote) -> None:
    with workspace() as directories:
        base = checked_out(directories, server).base_commit
        as_agent(directories, "(while :; do date +%N > beat; done >/dev/null 2>&1 &)")
        for _ in range(3):
            assert snapshot.take(directories, base) != base
        assert directories.agent.processes()
