"""Lists the known forges, and finds the forge of a repository by its URL.

A forge is recognised by the host in the URL. A self-managed installation is recognised if its host name begins with the
name of the product, as in gitlab.example.com.
"""

import re
from typing import Final
from urllib.parse import urlsplit

from flows.forges.azure import AzureDevOps
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
    AzureDevOps(),
    CodeCommit(),
)


NO_FORGE: Final = "none"
"""The value of the parameter `forge` for a git server whose pages and API are not used."""

FORGE_NAMES: Final = (*(forge.name for forge in FORGES), NO_FORGE)


def links(url: str, pushed: PushedCommit, name: str = "") -> Links:
    """Return the addresses of web pages for a pushed commit; for an unknown forge, only the repository's address."""
    forge = forge_of(url, name)
    return forge.links(page_of(url), pushed) if forge else Links(url)


def git_username(url: str, token: str = "", name: str = "") -> str:
    """Return the user name that the repository's git server expects with a token."""
    forge = forge_of(url, name)
    return forge.git_username_for(token) if forge else DEFAULT_GIT_USERNAME


def forge_of(url: str, name: str = "") -> Forge | None:
    """Return the forge that hosts the repository; None if the URL's host belongs to no known forge.

    Args:
        url: The repository's URL.
        name: One of `FORGE_NAMES`; empty to recognise the forge by the host.
    """
    host = urlsplit(url).hostname or ""
    if name:
        return next((forge for forge in FORGES if forge.name == name), None)
    return next((forge for forge in FORGES if re.fullmatch(forge.hosts, host)), None)


def page_of(url: str) -> str:
    """Return the address of a repository's page."""
    return url.removesuffix(".git")
