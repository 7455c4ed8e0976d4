"""A merge is pushed only while its second parent is on the base branch: a push must not bring removed commits back."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from git import RemoteProgress
from pydantic import SecretStr

from deployments.local.git_remote import GitRemote
from deployments.local.loopback import Exchange, ReceivedRequest
from flows.errors import BaseRewritten
from flows.parameters.addresses import RepoUrl
from flows.repository.clone import Checkout, fetch_base
from flows.repository.credentials import GitCredentials
from flows.repository.git_commands import run_git
from flows.repository.merged_commit import check_merged_commit
from flows.repository.remote import Remote
from flows.sandbox.workspace import Workspace, workspace

NAMES = {f"GIT_{role}_{key}": "a@b" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
SEED = """
git init -q --initial-branch=main .
commit() { echo "$1" > "$1.txt"; git add .; git commit -qm "$1"; }
commit 1; commit 2; git branch work
commit merged; git tag merged
commit later; git tag later; commit newest; git tag newest
git checkout -q -b release merged; commit other; git tag other
git checkout -q work; commit w
git checkout -q -b rewritten main~3; commit instead; git tag instead
"""


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("merged-commit")
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **NAMES}
    subprocess.run(["sh", "-ec", SEED], cwd=folder, check=True, env=environment)
    return folder


@pytest.fixture
def server(tmp_path: Path, seed: Path) -> Iterator[GitRemote]:
    with GitRemote(tmp_path, "token") as git_remote:
        git_remote.copy("r", str(seed))
        git_remote.git("r", "update-ref", "refs/heads/main", "merged")
        yield git_remote


@pytest.fixture
def directories() -> Iterator[Workspace]:
    with workspace() as made:
        yield made


def remote(directories: Workspace, server: GitRemote) -> Remote:
    credentials = GitCredentials(SecretStr("token"), "bot@example.com", "u")
    return Remote(RepoUrl.parse(f"{server.url}/r.git"), credentials, directories.trusted)


def fetched(directories: Workspace, target: Remote, merged: str, depth: int, *others: str) -> None:
    """Fetch what a run has fetched when it pushes a merge."""
    run_git(["init", "--quiet", "--bare", "--template=", str(directories.clean_git)])
    refs = [f"+refs/heads/{name}:refs/remotes/origin/{name}" for name in ("work", "main", *others)]
    target.fetch(directories.clean_git, refs, depth, RemoteProgress())
    run_git(["cat-file", "-e", merged], git_dir=directories.clean_git)


@pytest.mark.parametrize("depth", [0, 1, 2, 50])
@pytest.mark.parametrize(
    ("main", "is_there"),
    [("merged", True), ("later", True), ("newest", True), ("instead", False), ("merged~1", False), ("", False)],
    ids=["unmoved", "moved", "moved-twice", "other-history", "reset", "deleted"],
)
def test_a_merge_is_pushed_only_while_the_base_branch_has_the_merged_commit(
    directories: Workspace, server: GitRemote, depth: int, main: str, is_there: bool
) -> None:
    merged = server.git("r", "rev-parse", "merged")
    target = remote(directories, server)
    fetched(directories, target, merged, depth)
    if main:
        server.git("r", "update-ref", "refs/heads/main", main)
    else:
        server.git("r", "update-ref", "-d", "refs/heads/main")
    refs = target.refs()
    if is_there:
        check_merged_commit(target, directories.clean_git, merged, "main", refs)
        return
    with pytest.raises(BaseRewritten, match="Start follow_up with merge_base again") as raised:
        check_merged_commit(target, directories.clean_git, merged, "main", refs)
    assert merged[:12] in str(raised.value)
    assert ("was deleted" if not main else "was reset to") in str(raised.value)


def test_a_history_that_was_cut_at_another_branch_hides_no_merged_commit(
    directories: Workspace, server: GitRemote
) -> None:
    """`release` was fetched without its history, in which the merged commit is, and `main` is moved on to it."""
    merged = server.git("r", "rev-parse", "merged")
    target = remote(directories, server)
    fetched(directories, target, merged, 1, "release")
    other = server.git("r", "rev-parse", "other")
    names = ("-c", "user.name=a", "-c", "user.email=a@b")
    next_one = server.git("r", *names, "commit-tree", "other^{tree}", "-p", other, "-m", "x")
    server.git("r", "update-ref", "refs/heads/main", next_one)
    check_merged_commit(target, directories.clean_git, merged, "main", target.refs())


class OldServer(GitRemote):
    """A server before git 2.18: without protocol 2 it serves only the history of its branches and tags."""

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        headers = {name: value for name, value in request.headers.items() if name != "git-protocol"}
        super().answer(replace(request, headers=headers), exchange)


@pytest.mark.parametrize("main", ["later", "instead", ""], ids=["moved", "rewritten", "deleted"])
def test_a_later_delivery_finds_the_merged_commit_on_its_branch_or_says_that_it_is_gone(
    directories: Workspace, server: GitRemote, main: str
) -> None:
    merged, base = server.git("r", "rev-parse", "merged"), server.git("r", "rev-parse", "work")
    for tag in ("merged", "later", "newest", "other"):
        server.git("r", "update-ref", f"refs/kept/{tag}", tag)
        server.git("r", "tag", "--delete", tag)
    server.git("r", "update-ref", "-d", "refs/heads/release")
    if main:
        server.git("r", "update-ref", "refs/heads/main", "refs/kept/later" if main == "later" else main)
    else:
        server.git("r", "update-ref", "-d", "refs/heads/main")
    checkout = Checkout("work", "work", base, merged_commit=merged, merged_branch="main")
    with OldServer(server.root, "token") as old:
        old.git("r", "config", "transfer.hideRefs", "refs/kept")
        target = remote(directories, old)

        def fetch() -> None:
            progress = RemoteProgress()
            fetch_base(directories, target, checkout, base_branch="", depth=50, progress=progress, work_tree=False)

        if main == "later":
            fetch()
            assert run_git(["cat-file", "-t", merged], git_dir=directories.clean_git).text == "commit"
            return
        with pytest.raises(BaseRewritten, match="which the remote does not have any more: nothing was pushed"):
            fetch()
