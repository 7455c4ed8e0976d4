"""Where a repository's web pages are, for the hosts whose addresses are documented. Pure.

GitHub, GitLab, Bitbucket Cloud, Gitea and Forgejo, AWS CodeCommit; an own installation is known by the product's name
at the beginning of its host's. Of any other host only the repository's own address is certain.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from flows.parameters.addresses import RepoUrl


@dataclass(frozen=True)
class Links:
    """Addresses of pages; empty where the host's are not known, or where there is nothing to see."""

    repository: str
    branch: str = ""
    commit: str = ""
    compare: str = ""
    request: str = ""
    """Where to ask for the branch to be merged."""
    request_name: str = "pull request"


@dataclass(frozen=True)
class Pushed:
    """What is to be linked to. `base` is the branch that it started from; empty where that is the branch itself."""

    branch: str
    commit: str
    base: str = ""


def links(repo_url: RepoUrl, pushed: Pushed) -> Links:
    """Return the addresses of a pushed commit, as its host's pages have them."""
    host = urlsplit(repo_url.url).hostname or ""
    page = repo_url.url.removesuffix(".git")
    for pattern, made in _HOSTS:
        if re.fullmatch(pattern, host):
            return made(page, pushed)
    return Links(repo_url.url)


def _github(page: str, pushed: Pushed) -> Links:
    branch = quote(pushed.branch)
    between = f"{quote(pushed.base)}...{branch}" if pushed.base else branch
    return Links(
        page,
        f"{page}/tree/{branch}",
        f"{page}/commit/{pushed.commit}",
        f"{page}/compare/{between}",
        f"{page}/compare/{between}?expand=1",
    )


def _gitlab(page: str, pushed: Pushed) -> Links:
    branch = quote(pushed.branch)
    target = f"&merge_request%5Btarget_branch%5D={quote(pushed.base, safe='')}" if pushed.base else ""
    return Links(
        page,
        f"{page}/-/tree/{branch}",
        f"{page}/-/commit/{pushed.commit}",
        f"{page}/-/compare/{quote(pushed.base)}...{branch}" if pushed.base else "",
        f"{page}/-/merge_requests/new?merge_request%5Bsource_branch%5D={quote(pushed.branch, safe='')}{target}",
        "merge request",
    )


def _bitbucket(page: str, pushed: Pushed) -> Links:
    branch = quote(pushed.branch, safe="")
    target = f"&dest={quote(pushed.base, safe='')}" if pushed.base else ""
    return Links(
        page,
        f"{page}/branch/{quote(pushed.branch)}",
        f"{page}/commits/{pushed.commit}",
        f"{page}/branches/compare/{branch}%0D{quote(pushed.base, safe='')}" if pushed.base else "",
        f"{page}/pull-requests/new?source={branch}{target}",
    )


def _gitea(page: str, pushed: Pushed) -> Links:
    branch = quote(pushed.branch)
    compare = f"{page}/compare/{quote(pushed.base)}...{branch}" if pushed.base else ""
    return Links(page, f"{page}/src/branch/{branch}", f"{page}/commit/{pushed.commit}", compare, compare)


def _codecommit(page: str, pushed: Pushed) -> Links:
    parts = urlsplit(page)
    region, name = (parts.hostname or "").split(".")[1], parts.path.rpartition("/")[2]
    console = f"https://{region}.console.aws.amazon.com/codesuite/codecommit/repositories/{name}"
    asked, branch = f"?region={region}", f"refs/heads/{quote(pushed.branch)}"
    between = f"refs/heads/{quote(pushed.base)}/.../{branch}{asked}" if pushed.base else ""
    return Links(
        f"{console}/browse{asked}",
        f"{console}/browse/{branch}{asked}",
        f"{console}/commit/{pushed.commit}{asked}",
        f"{console}/compare/{between}" if between else "",
        f"{console}/pull-requests/new/{between}" if between else "",
    )


_HOSTS: Final[tuple[tuple[str, Callable[[str, Pushed], Links]], ...]] = (
    (r"github\.com|github\..+|.+\.ghe\.com", _github),
    (r"gitlab\.com|gitlab\..+", _gitlab),
    (r"bitbucket\.org", _bitbucket),
    (r"codeberg\.org|(gitea|forgejo)\..+", _gitea),
    (r"git-codecommit\.[a-z0-9-]+\.amazonaws\.com", _codecommit),
)
