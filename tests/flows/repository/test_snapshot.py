"""The work tree of a moment: taken beside the agent, put back elsewhere, and the same where nothing is new."""

from collections.abc import Iterator
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
from flows.repository.credentials import GitCredentials
from flows.repository.remote import Remote
from flows.sandbox import commands
from flows.sandbox.workspace import Workspace, workspace


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitRemote]:
    (tmp_path / "seed").mkdir()
    (tmp_path / "served").mkdir()
    (tmp_path / "seed" / "a.txt").write_text("a\n")
    (tmp_path / "seed" / "b.txt").write_text("b\n")
    with GitRemote(tmp_path / "served", "token") as made:
        made.create("r", tmp_path / "seed")
        yield made


def checked_out(made: Workspace, server: GitRemote) -> Checkout:
    remote = Remote(
        RepoUrl.parse(f"{server.url}/r.git"), GitCredentials(SecretStr("token"), "bot@example.com", "u"), made.trusted
    )
    return clone(
        made, remote, branch="new", base_branch="", depth=50, allow_default_branch=False, progress=RemoteProgress()
    )


def as_agent(made: Workspace, script: str) -> None:
    line = ["sh", "-c", f"cd {made.work_tree} && {script}"]
    commands.check(commands.run(made, line, beside_agent=True), "act as the agent")


def test_a_snapshot_is_put_back_as_changes_that_nobody_committed(server: GitRemote) -> None:
    with workspace() as made:
        base = checked_out(made, server).base_commit
        as_agent(made, "echo 2 >> a.txt; rm b.txt; mkdir d; echo n > d/n.txt; chmod +x a.txt")
        commit = snapshot.take(made, base)
        bundle = snapshot.bundled(made, base)
        assert git_as_agent(made, "diff", "--cached", "--name-only").text == "", "the agent's own index is its own"
    with workspace() as other:
        checked_out(other, server)
        snapshot.restore(other, bundle, commit, base)
        assert (other.work_tree / "a.txt").read_text() == "a\n2\n"
        status = git_as_agent(other, "status", "--porcelain", "--untracked-files=all").text
        assert status.splitlines() == [" M a.txt", " D b.txt", "?? d/n.txt"]
        assert git_as_agent(other, "rev-parse", "HEAD").text == base
        assert snapshot.take(other, base) == commit


def test_nothing_changed_is_the_base_and_nothing_new_the_same_commit(server: GitRemote) -> None:
    with workspace() as made:
        base = checked_out(made, server).base_commit
        assert snapshot.take(made, base) == base
        as_agent(made, "echo 2 >> a.txt")
        first = snapshot.take(made, base)
        assert snapshot.take(made, base) == first != base
        as_agent(made, "echo 3 >> a.txt")
        assert snapshot.take(made, base) not in {first, base}


def test_a_repository_that_is_broken_is_no_snapshot(server: GitRemote) -> None:
    with workspace() as made:
        base = checked_out(made, server).base_commit
        as_agent(made, "rm -rf .git")
        with pytest.raises(GitFailed):
            snapshot.take(made, base)


def test_the_agent_goes_on_while_its_tree_is_taken(server: GitRemote) -> None:
    with workspace() as made:
        base = checked_out(made, server).base_commit
        as_agent(made, "(while :; do date +%N > beat; done >/dev/null 2>&1 &)")
        for _ in range(3):
            assert snapshot.take(made, base) != base
        assert made.agent.processes()
