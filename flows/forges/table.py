"""Lists the known forges, and finds the forge of a repository by its URL.

A forge is recognised by the host in the URL. A self-managed installation is recognised if its host name begins with the
name of the product, as in gitlab.example.com.
"""

import re
from typing import Final
from urllib.parse import urlsplit

from flows.forges.base import DEFAULT_GIT_USERNAME, Forge, Links, PushedCommit
from flows.forges.bitbucket import Bitbucket
from flows.forges.codecommit import CodeCommit
from flows.forges.gitea import Gitea
from flows.forges.github import GitHub
from flows.forges.gitlab import GitLab

FORGES: Final[tuple[Forge, ...]] = (
    GitHub(),
    GitLab(),
    Bitbucket(),
    Gitea(),
    CodeCommit(),
)


def links(url: str, pushed: PushedCommit) -> Links:
    """Return the addresses of web pages for a pushed commit; for an unknown forge, only the repository's address."""
    forge = forge_of(url)
    return forge.links(url.removesuffix(".git"), pushed) if forge else Links(url)


def git_username(url: str) -> str:
    """Return the user name that the repository's git server expects with an access token."""
    forge = forge_of(url)
    return forge.git_username if forge else DEFAULT_GIT_USERNAME


def forge_of(url: str) -> Forge | None:
    """Return the forge that hosts the repository; None if the URL's host belongs to no known forge."""
    host = urlsplit(url).hostname or ""
    return next((forge for forge in FORGES if re.fullmatch(forge.hosts, host)), None)
