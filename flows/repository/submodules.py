"""Checks a change's links to submodules: each linked commit must exist at the submodule's address in .gitmodules."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urljoin

from git import RemoteProgress

from flows.errors import RunError, UnexpectedSubmodule
from flows.parameters.addresses import RepoUrl
from flows.repository import objects
from flows.repository.base_branch import start_of_work
from flows.repository.collect import Change
from flows.repository.git_commands import run_git
from flows.repository.objects import SUBMODULE
from flows.repository.remote import Remote

_FIELDS: Final = r"^submodule\..*\.(path|url)$"


def check_submodule_links(git_dir: Path, change: Change, remote: Remote) -> None:
    """Check that the commit of each new or updated submodule can be fetched. The fetched objects are not kept.

    The git token is sent only to the git server of the run's own repository, and only for repositories that the token's
    binding allows. Submodules on other servers are fetched without a token.

    Raises:
        UnexpectedSubmodule: A commit cannot be fetched from the address in .gitmodules.
    """
    checkout = change.checkout
    start = start_of_work(git_dir, checkout.base_commit, checkout.merged_commit)
    files = objects.changed_files(git_dir, start, change.commit)
    links = {file.path: file.blob for file in files if file.mode == SUBMODULE}
    if not links:
        return
    urls = _urls(git_dir, change.commit)
    for path, commit in links.items():
        try:
            _fetch(_address(urls.get(path, ""), remote), commit, remote)
        except RunError as error:
            raise UnexpectedSubmodule(
                f"the submodule {path!r} is at commit {commit[:12]}, which cannot be fetched: {error}. Have the agent "
                "commit nothing in the submodule, and leave it as it is"
            ) from None


def _urls(git_dir: Path, commit: str) -> dict[str, str]:
    """Return, by path, the address of each submodule in .gitmodules. The address is empty if .gitmodules has none."""
    show = ["config", "-z", f"--blob={commit}:.gitmodules", "--get-regexp", _FIELDS]
    fields = dict(row.partition("\n")[::2] for row in run_git(show, git_dir=git_dir).text.split("\0") if row)
    paths = {key.removesuffix(".path"): value for key, value in fields.items() if key.endswith(".path")}
    return {path: fields.get(f"{name}.url", "") for name, path in paths.items()}


def _address(url: str, remote: Remote) -> RepoUrl:
    """Return a submodule's absolute address. `url` may be relative to the run's repository (gitmodules(5))."""
    if url.startswith(("./", "../")):
        url = urljoin(f"{remote.url.url}/", url)
    return RepoUrl.parse(url)


def _fetch(url: RepoUrl, commit: str, remote: Remote) -> None:
    with TemporaryDirectory(dir=remote.trusted) as folder:
        git_dir = Path(folder) / "submodule.git"
        run_git(["init", "--quiet", "--bare", "--template=", str(git_dir)])
        if url.origin == remote.url.origin or remote.credentials.lists_repository(url):
            refspec = f"+{commit}:refs/heads/check"
            Remote(url, remote.credentials, Path(folder)).fetch(git_dir, [refspec], 1, RemoteProgress())
            return
        scheme = url.url.partition(":")[0]
        arguments = ["fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", url.url, commit]
        run_git(arguments, config=[f"protocol.{scheme}.allow=always"], git_dir=git_dir)
