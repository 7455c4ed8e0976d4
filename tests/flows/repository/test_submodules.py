"""Links to submodules: a link leaves only if its commit can be fetched from the address in .gitmodules."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from deployments.local.git_remote import GitRemote
from flows.errors import UnexpectedSubmodule
from flows.parameters.addresses import RepoUrl
from flows.repository.clone import Checkout
from flows.repository.collect import Change
from flows.repository.credentials import GitCredentials
from flows.repository.remote import Remote
from flows.repository.submodules import check_submodule_links

NAMES = {f"GIT_{role}_{key}": "a@b" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}


def git(folder: Path, *arguments: str) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **NAMES}
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitRemote]:
    for name in ("r", "lib"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(f"{name}\n")
    (tmp_path / "served").mkdir()
    with GitRemote(tmp_path / "served", "token") as git_remote:
        git_remote.create("r", tmp_path / "r")
        git_remote.create("lib", tmp_path / "lib")
        yield git_remote


@pytest.fixture
def remote(server: GitRemote, tmp_path: Path) -> Remote:
    (tmp_path / "trusted").mkdir()
    credentials = GitCredentials(SecretStr("token"), "bot@example.com", "u")
    return Remote(RepoUrl.parse(f"{server.url}/r.git"), credentials, tmp_path / "trusted")


def change_with_link(folder: Path, url: str, commit: str) -> Change:
    """Return a change in a new repository that adds a link to a submodule."""
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "base")
    base = git(folder, "rev-parse", "HEAD")
    if url:
        (folder / ".gitmodules").write_text(f'[submodule "lib"]\n\tpath = lib\n\turl = {url}\n')
        git(folder, "add", ".gitmodules")
    git(folder, "update-index", "--add", "--cacheinfo", f"160000,{commit},lib")
    git(folder, "commit", "--quiet", "-m", "link")
    return Change(git(folder, "rev-parse", "HEAD"), Checkout("new", "main", base, ""))


@pytest.mark.parametrize("url", ["{server}/lib.git", "../lib.git"])
def test_a_link_to_a_commit_that_can_be_fetched_passes(
    server: GitRemote, remote: Remote, tmp_path: Path, url: str
) -> None:
    commit = server.git("lib", "rev-parse", "main")
    change = change_with_link(tmp_path / "change", url.format(server=server.url), commit)
    check_submodule_links(tmp_path / "change" / ".git", change, remote)


@pytest.mark.parametrize(
    ("url", "commit"),
    [
        ("{server}/lib.git", "1" * 40),
        ("{server}/none.git", ""),
        ("../../elsewhere.git", ""),
        ("ext::sh -c true", ""),
        ("file:///tmp", ""),
        ("https://127.0.0.1:9/lib.git", ""),
        ("-u./payload", ""),
    ],
)
def test_a_link_to_a_commit_that_nobody_can_fetch_is_refused(
    server: GitRemote, remote: Remote, tmp_path: Path, url: str, commit: str
) -> None:
    commit = commit or server.git("lib", "rev-parse", "main")
    change = change_with_link(tmp_path / "change", url.format(server=server.url), commit)
    with pytest.raises(UnexpectedSubmodule, match="the submodule 'lib' is at commit"):
        check_submodule_links(tmp_path / "change" / ".git", change, remote)


def test_a_change_without_links_asks_nobody(server: GitRemote, remote: Remote, tmp_path: Path) -> None:
    folder = tmp_path / "change"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "base")
    base = git(folder, "rev-parse", "HEAD")
    (folder / "a.txt").write_text("a\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "a")
    server.requests.clear()
    check_submodule_links(
        folder / ".git", Change(git(folder, "rev-parse", "HEAD"), Checkout("n", "main", base, "")), remote
    )
    assert not server.requests
