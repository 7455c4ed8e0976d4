"""The branches that a run may not push to, on real remotes that say, hide, or do not know their default branch."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from deployments.local.git_remote import GitRemote
from deployments.local.loopback import Asked
from flows.errors import BaseRefNotFound, ProtectedBranch
from flows.parameters.addresses import RepoUrl
from flows.repository.clone import plan
from flows.repository.credentials import GitCredentials
from flows.repository.protection import check_protection
from flows.repository.remote import Remote, RemoteRefs
from tests.flows.repository.test_remote import Dumb

TOKEN = "the-token-of-this-test"


class OldServer(GitRemote):
    """A git server of before 2013: protocol 0, without the capability that says where HEAD points."""

    def _backend(self, asked: Asked) -> tuple[int, dict[str, str], bytes]:
        headers = {name: value for name, value in asked.headers.items() if name != "git-protocol"}
        status, answer, body = super()._backend(replace(asked, headers=headers))
        return status, answer, body.replace(b" symref=HEAD:", b" unused=HEAD:")


def served(kind: type[GitRemote], folder: Path) -> Iterator[GitRemote]:
    for name in ("served", "seed"):
        (folder / name).mkdir()
    (folder / "seed" / "a").write_text("a\n")
    with kind(folder / "served", TOKEN) as server:
        server.create("r", folder / "seed")
        server.git("r", "branch", "release", "main")
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitRemote]:
    yield from served(GitRemote, tmp_path)


@pytest.fixture
def old_server(tmp_path: Path) -> Iterator[GitRemote]:
    yield from served(OldServer, tmp_path)


def refs_of(url: str, tmp_path: Path) -> RemoteRefs:
    return Remote(RepoUrl.parse(f"{url}/r.git"), GitCredentials(SecretStr(TOKEN), "bot@example.com"), tmp_path).refs()


def dangling(server: GitRemote) -> None:
    server.git("r", "symbolic-ref", "HEAD", "refs/heads/not-there")


def detached(server: GitRemote) -> None:
    server.git("r", "update-ref", "--no-deref", "HEAD", server.git("r", "rev-parse", "main"))


def hidden(server: GitRemote) -> None:
    server.git("r", "config", "uploadpack.hideRefs", "HEAD")


def outside_branches(server: GitRemote) -> None:
    server.git("r", "update-ref", "refs/changes/1", "main")
    server.git("r", "symbolic-ref", "HEAD", "refs/changes/1")


def on_a_tag(server: GitRemote) -> None:
    server.git("r", "tag", "v1", "main")
    server.git("r", "symbolic-ref", "HEAD", "refs/tags/v1")


def on_a_hidden_branch(server: GitRemote) -> None:
    server.git("r", "update-ref", "refs/heads/secret/trunk", "main")
    server.git("r", "symbolic-ref", "HEAD", "refs/heads/secret/trunk")
    server.git("r", "config", "transfer.hideRefs", "refs/heads/secret")


def on_a_link_to_nowhere(server: GitRemote) -> None:
    server.git("r", "symbolic-ref", "refs/heads/link", "refs/heads/not-there")
    server.git("r", "symbolic-ref", "HEAD", "refs/heads/link")


UNKNOWN = [
    dangling, detached, hidden, outside_branches, on_a_tag, on_a_hidden_branch, on_a_link_to_nowhere,
]  # fmt: skip


def check_unknown_is_protected(refs: RemoteRefs) -> None:
    for branch in ("main", "release"):
        with pytest.raises(ProtectedBranch, match=f"does not say which branch is its default branch, and '{branch}'"):
            plan(refs, branch, "release", allow_default_branch=False)
        assert plan(refs, branch, "", allow_default_branch=True) == branch
    assert plan(refs, "feature/x", "release", allow_default_branch=False) == "release"
    with pytest.raises(BaseRefNotFound, match="name the branch to start from as base_branch; it has main, release"):
        plan(refs, "feature/x", "", allow_default_branch=False)


@pytest.mark.parametrize("change", UNKNOWN)
def test_where_the_default_branch_is_unknown_every_branch_is_protected(
    server: GitRemote, tmp_path: Path, change: Callable[[GitRemote], None]
) -> None:
    change(server)
    check_unknown_is_protected(refs_of(server.url, tmp_path))


def test_an_old_server_does_not_say_and_every_branch_is_protected(old_server: GitRemote, tmp_path: Path) -> None:
    check_unknown_is_protected(refs_of(old_server.url, tmp_path))


def test_a_server_of_plain_files_whose_head_is_detached_protects_every_branch(
    server: GitRemote, tmp_path: Path
) -> None:
    detached(server)
    server.git("r", "update-server-info")
    with Dumb(server.root) as dumb:
        check_unknown_is_protected(refs_of(dumb.url, tmp_path))


def test_a_server_of_plain_files_says_its_default_branch(server: GitRemote, tmp_path: Path) -> None:
    server.git("r", "update-server-info")
    with Dumb(server.root) as dumb:
        refs = refs_of(dumb.url, tmp_path)
    assert refs.default_branch == "main"
    assert plan(refs, "release", "", allow_default_branch=False) == "release"


@pytest.mark.parametrize("branch", ["master", "trunk", "MASTER"])
def test_a_new_branch_that_head_may_be_waiting_for_is_protected(server: GitRemote, tmp_path: Path, branch: str) -> None:
    dangling(server)
    refs = refs_of(server.url, tmp_path)
    with pytest.raises(ProtectedBranch, match="may become it when it is created"):
        check_protection(refs, branch, allow_default_branch=False)


def test_a_branch_that_is_a_link_to_the_default_branch_is_protected(server: GitRemote, tmp_path: Path) -> None:
    server.git("r", "symbolic-ref", "refs/heads/alias", "refs/heads/main")
    server.git("r", "symbolic-ref", "refs/heads/alias-of-alias", "refs/heads/alias")
    server.git("r", "symbolic-ref", "refs/heads/other", "refs/heads/release")
    refs = refs_of(server.url, tmp_path)
    for branch in ("alias", "alias-of-alias"):
        with pytest.raises(ProtectedBranch, match=f"'{branch}' is another name of the default branch 'main'"):
            check_protection(refs, branch, allow_default_branch=False)
    check_protection(refs, "other", allow_default_branch=False)


def test_a_default_branch_behind_a_link_is_the_one_it_leads_to(server: GitRemote, tmp_path: Path) -> None:
    server.git("r", "symbolic-ref", "refs/heads/current", "refs/heads/release")
    server.git("r", "symbolic-ref", "HEAD", "refs/heads/current")
    refs = refs_of(server.url, tmp_path)
    for branch in ("current", "release"):
        with pytest.raises(ProtectedBranch):
            check_protection(refs, branch, allow_default_branch=False)
    check_protection(refs, "main", allow_default_branch=False)


def test_the_default_branch_in_other_case_is_protected(server: GitRemote, tmp_path: Path) -> None:
    refs = refs_of(server.url, tmp_path)
    with pytest.raises(ProtectedBranch, match="'Main' differs from the default branch 'main' only in case"):
        check_protection(refs, "Main", allow_default_branch=False)
    check_protection(refs, "Main", allow_default_branch=True)
