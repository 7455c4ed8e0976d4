"""The branches that a run may not push to, on real remotes that report, hide or do not know their default branch."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from deployments.local.git_remote import GitRemote
from deployments.local.loopback import ReceivedRequest
from flows.errors import BaseRefNotFound, ProtectedBranch
from flows.parameters.addresses import RepoUrl
from flows.repository.clone import choose_start_point
from flows.repository.credentials import GitCredentials
from flows.repository.protection import check_protection
from flows.repository.remote import Remote
from flows.repository.remote_refs import RemoteRefs
from tests.flows.repository.test_remote import DumbServer

TOKEN = "the-token-of-this-test"


class OldServer(GitRemote):
    """A git server from before 2013: protocol 0, without the capability that reports where HEAD points."""

    def _backend(self, request: ReceivedRequest) -> tuple[int, dict[str, str], bytes]:
        headers = {name: value for name, value in request.headers.items() if name != "git-protocol"}
        status, response, body = super()._backend(replace(request, headers=headers))
        return status, response, body.replace(b" symref=HEAD:", b" unused=HEAD:")


def serve(kind: type[GitRemote], folder: Path) -> Iterator[GitRemote]:
    for name in ("served", "seed"):
        (folder / name).mkdir()
    (folder / "seed" / "a").write_text("a\n")
    with kind(folder / "served", TOKEN) as server:
        server.create("r", folder / "seed")
        server.git("r", "branch", "release", "main")
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitRemote]:
    yield from serve(GitRemote, tmp_path)


@pytest.fixture
def old_server(tmp_path: Path) -> Iterator[GitRemote]:
    yield from serve(OldServer, tmp_path)


def refs_of(url: str, tmp_path: Path) -> RemoteRefs:
    return Remote(RepoUrl.parse(f"{url}/r.git"), GitCredentials(SecretStr(TOKEN), "bot@example.com"), tmp_path).refs()


def head_dangling(server: GitRemote) -> None:
    server.git("r", "symbolic-ref", "HEAD", "refs/heads/not-there")


def head_detached(server: GitRemote) -> None:
    server.git("r", "update-ref", "--no-deref", "HEAD", server.git("r", "rev-parse", "main"))


def head_hidden(server: GitRemote) -> None:
    server.git("r", "config", "uploadpack.hideRefs", "HEAD")


def head_outside_branches(server: GitRemote) -> None:
    server.git("r", "update-ref", "refs/changes/1", "main")
    server.git("r", "symbolic-ref", "HEAD", "refs/changes/1")


def head_on_a_tag(server: GitRemote) -> None:
    server.git("r", "tag", "v1", "main")
    server.git("r", "symbolic-ref", "HEAD", "refs/tags/v1")


def head_on_a_hidden_branch(server: GitRemote) -> None:
    server.git("r", "update-ref", "refs/heads/secret/trunk", "main")
    server.git("r", "symbolic-ref", "HEAD", "refs/heads/secret/trunk")
    server.git("r", "config", "transfer.hideRefs", "refs/heads/secret")


def head_on_a_symbolic_ref_to_nowhere(server: GitRemote) -> None:
    server.git("r", "symbolic-ref", "refs/heads/link", "refs/heads/not-there")
    server.git("r", "symbolic-ref", "HEAD", "refs/heads/link")


UNKNOWN = [
    head_dangling,
    head_detached,
    head_hidden,
    head_outside_branches,
    head_on_a_tag,
    head_on_a_hidden_branch,
    head_on_a_symbolic_ref_to_nowhere,
]


def check_every_branch_is_protected(refs: RemoteRefs) -> None:
    for branch in ("main", "release"):
        with pytest.raises(ProtectedBranch, match=f"does not say which branch is its default branch, and '{branch}'"):
            choose_start_point(refs, branch, "release", allow_default_branch=False)
        assert choose_start_point(refs, branch, "", allow_default_branch=True).name == branch
    assert choose_start_point(refs, "feature/x", "release", allow_default_branch=False).name == "release"
    with pytest.raises(
        BaseRefNotFound, match="set base_branch to the branch to start from; the remote has main, release"
    ):
        choose_start_point(refs, "feature/x", "", allow_default_branch=False)


@pytest.mark.parametrize("change", UNKNOWN)
def test_every_branch_is_protected_if_the_default_branch_is_unknown(
    server: GitRemote, tmp_path: Path, change: Callable[[GitRemote], None]
) -> None:
    change(server)
    check_every_branch_is_protected(refs_of(server.url, tmp_path))


def test_an_old_server_does_not_report_head_so_every_branch_is_protected(old_server: GitRemote, tmp_path: Path) -> None:
    check_every_branch_is_protected(refs_of(old_server.url, tmp_path))


def test_every_branch_is_protected_on_a_dumb_server_with_a_detached_head(server: GitRemote, tmp_path: Path) -> None:
    head_detached(server)
    server.git("r", "update-server-info")
    with DumbServer(server.root) as dumb:
        check_every_branch_is_protected(refs_of(dumb.url, tmp_path))


def test_a_dumb_server_reports_its_default_branch(server: GitRemote, tmp_path: Path) -> None:
    server.git("r", "update-server-info")
    with DumbServer(server.root) as dumb:
        refs = refs_of(dumb.url, tmp_path)
    assert refs.default_branch == "main"
    assert choose_start_point(refs, "release", "", allow_default_branch=False).name == "release"


@pytest.mark.parametrize("branch", ["master", "trunk", "MASTER"])
def test_a_new_branch_that_head_may_already_point_to_is_protected(
    server: GitRemote, tmp_path: Path, branch: str
) -> None:
    head_dangling(server)
    refs = refs_of(server.url, tmp_path)
    with pytest.raises(ProtectedBranch, match="may become the default branch when it is created"):
        check_protection(refs, branch, allow_default_branch=False)


def test_a_symbolic_ref_to_the_default_branch_is_protected(server: GitRemote, tmp_path: Path) -> None:
    server.git("r", "symbolic-ref", "refs/heads/alias", "refs/heads/main")
    server.git("r", "symbolic-ref", "refs/heads/alias-of-alias", "refs/heads/alias")
    server.git("r", "symbolic-ref", "refs/heads/other", "refs/heads/release")
    refs = refs_of(server.url, tmp_path)
    for branch in ("alias", "alias-of-alias"):
        with pytest.raises(ProtectedBranch, match=f"'{branch}' is another name of the default branch 'main'"):
            check_protection(refs, branch, allow_default_branch=False)
    check_protection(refs, "other", allow_default_branch=False)


def test_a_symbolic_ref_as_default_branch_protects_its_target_too(server: GitRemote, tmp_path: Path) -> None:
    server.git("r", "symbolic-ref", "refs/heads/current", "refs/heads/release")
    server.git("r", "symbolic-ref", "HEAD", "refs/heads/current")
    refs = refs_of(server.url, tmp_path)
    for branch in ("current", "release"):
        with pytest.raises(ProtectedBranch):
            check_protection(refs, branch, allow_default_branch=False)
    check_protection(refs, "main", allow_default_branch=False)


def test_the_default_branch_in_a_different_case_is_protected(server: GitRemote, tmp_path: Path) -> None:
    refs = refs_of(server.url, tmp_path)
    with pytest.raises(ProtectedBranch, match="'Main' differs from the default branch 'main' only in case"):
        check_protection(refs, "Main", allow_default_branch=False)
    check_protection(refs, "Main", allow_default_branch=True)
