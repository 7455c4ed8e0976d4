"""Reads the addresses of pull requests and issues, as a person copies them from a browser."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from flows.errors import InvalidForgePage
from flows.forges.azure import GIT
from flows.forges.table import forge_of, page_of
from flows.text_safety import one_line

_MAX_CHARACTERS: Final = 2_000
_SHOWN_CHARACTERS: Final = 200
_PORTS: Final = {"https": 443, "http": 80}


class PageKind(StrEnum):
    """What an address shows."""

    PULL_REQUEST = "pull request"
    ISSUE = "issue"


@dataclass(frozen=True)
class ForgePage:
    """The page of a pull request or of an issue."""

    kind: PageKind
    repository: str
    """The address of the repository's page; for a work item of Azure DevOps, that of its project."""
    number: int


_NUMBER: Final = r"/(?P<number>[1-9][0-9]{0,15})"
_PART: Final = r"/(?!-/)[^/]+"
_PULL_REQUESTS: Final[Mapping[str, str]] = {
    "github": rf"(?P<repository>({_PART}){{2}})/pull{_NUMBER}(/(files|commits|checks|changes).*)?",
    "gitlab": rf"(?P<repository>({_PART}){{2,}})/(-/)?merge_requests{_NUMBER}(/(diffs|commits|pipelines|reports))?",
    "gitea": rf"(?P<repository>({_PART}){{2,}})/pulls{_NUMBER}(/(files|commits).*)?",
    "bitbucket": rf"(?P<repository>({_PART}){{2}})/pull-requests{_NUMBER}(/[^/]+){{0,2}}",
    "azure": rf"(?P<repository>({_PART})*/_git{_PART})/pullrequest{_NUMBER}",
}
_ISSUES: Final[Mapping[str, str]] = {
    "github": rf"(?P<repository>({_PART}){{2}})/issues{_NUMBER}",
    "gitlab": rf"(?P<repository>({_PART}){{2,}})/(-/)?(issues|work_items){_NUMBER}(/designs)?",
    "gitea": rf"(?P<repository>({_PART}){{2,}})/issues{_NUMBER}",
    "bitbucket": rf"(?P<repository>({_PART}){{2}})/issues{_NUMBER}(/[^/]+)?",
    "azure": rf"(?P<repository>({_PART})+)/_workitems/edit{_NUMBER}",
}
_PATTERNS: Final = {PageKind.PULL_REQUEST: _PULL_REQUESTS, PageKind.ISSUE: _ISSUES}
_USES: Final = {
    PageKind.PULL_REQUEST: "the flow follow_up continues",
    PageKind.ISSUE: "the flow implement takes as its instructions",
}
_EXAMPLES: Final[Mapping[tuple[str, PageKind], str]] = {
    ("github", PageKind.PULL_REQUEST): "https://github.com/owner/repository/pull/12",
    ("github", PageKind.ISSUE): "https://github.com/owner/repository/issues/12",
    ("gitlab", PageKind.PULL_REQUEST): "https://gitlab.com/group/project/-/merge_requests/12",
    ("gitlab", PageKind.ISSUE): "https://gitlab.com/group/project/-/issues/12",
    ("gitea", PageKind.PULL_REQUEST): "https://codeberg.org/owner/repository/pulls/12",
    ("gitea", PageKind.ISSUE): "https://codeberg.org/owner/repository/issues/12",
    ("bitbucket", PageKind.PULL_REQUEST): "https://bitbucket.org/workspace/repository/pull-requests/12",
    ("bitbucket", PageKind.ISSUE): "https://bitbucket.org/workspace/repository/issues/12",
    ("azure", PageKind.PULL_REQUEST): "https://dev.azure.com/organization/project/_git/repository/pullrequest/12",
    ("azure", PageKind.ISSUE): "https://dev.azure.com/organization/project/_workitems/edit/12",
}


def is_address(text: str) -> bool:
    """Whether a text is one web address and nothing else."""
    return bool(re.fullmatch(r"https?://\S+", text.strip(), re.IGNORECASE))


def parse_page(address: str, kind: PageKind, *, forge: str = "") -> ForgePage:
    """Return what an address shows. Its query and its fragment, such as `#issuecomment-1`, do not matter.

    Args:
        address: The address of the page, or of a comment on it.
        kind: What it must be.
        forge: The kind of the forge; empty to recognise it by the address's host.

    Raises:
        InvalidForgePage: It is no such page.
    """
    text = address.strip()
    parts = _split(text)
    host = forge_of(text, forge) if parts else None
    if parts is None or host is None or host.name not in _PULL_REQUESTS:
        advice = ", and set forge, as to gitlab, if the name of its host does not tell" if parts else ""
        raise InvalidForgePage(
            f"{shown_address(text)} is not the page of {_a(kind)} on a known forge: give its https address{advice}"
        )
    match = re.fullmatch(_PATTERNS[kind][host.name], parts.path.rstrip("/"), re.IGNORECASE)
    if match is None:
        example = _EXAMPLES[host.name, kind]
        raise InvalidForgePage(
            f"{shown_address(text)} is {_other(host.name, parts, kind)}: give an address such as {example}"
        )
    repository = f"{parts.scheme}://{parts.netloc}{match['repository']}"
    return ForgePage(kind, repository, int(match["number"]))


def _other(forge: str, parts: SplitResult, kind: PageKind) -> str:
    """Return what an address shows that is not the page of this kind."""
    for other in PageKind:
        if re.fullmatch(_PATTERNS[other][forge], parts.path.rstrip("/"), re.IGNORECASE):
            return f"the page of {_a(other)}, which {_USES[other]}, and not that of {_a(kind)}"
    return f"not the page of {_a(kind)}"


def number_in(address: str, kind: PageKind, repo_url: str, *, forge: str = "") -> int:
    """Return the number of a pull request or an issue of a repository.

    Args:
        address: The address of the page, or of a comment on it.
        kind: What it must be.
        repo_url: The repository's URL.
        forge: The kind of the forge; empty to recognise it by the host.

    Raises:
        InvalidForgePage: It is no such page, or it belongs to another server or repository.
    """
    page = parse_page(address, kind, forge=forge)
    places = {_place(each) for each in _pages(repo_url, page)}
    if _place(page.repository) not in places:
        raise InvalidForgePage(
            f"{shown_address(address)} belongs to {shown_address(page.repository)}, and the run's repository is "
            f"{page_of(repo_url)}: give {_a(kind)} of this repository, or set repo_url to the other one"
        )
    return page.number


def issue_page(address: str, repo_url: str, *, forge: str = "") -> ForgePage:
    """Return the issue that an address shows. It is on the server of a repository, but may be of another one.

    Many projects have a repository for their issues alone. The work items of Azure DevOps are those of the repository's
    own project.

    Args:
        address: The address of the issue, or of a comment on it.
        repo_url: The repository's URL.
        forge: The kind of the forge; empty to recognise it by the host.

    Raises:
        InvalidForgePage: It is no issue, or it is on another server or in another project.
    """
    page = parse_page(address, PageKind.ISSUE, forge=forge)
    own = page_of(repo_url)
    if _place(page.repository) in {_place(each) for each in _pages(repo_url, page)}:
        return ForgePage(page.kind, own, page.number)
    if GIT in own or _origin(page.repository) != _origin(own):
        place = "project of Azure DevOps" if GIT in own else "server"
        raise InvalidForgePage(
            f"the issue {shown_address(address)} is not in the same {place} as the run's repository {own}: give an "
            "issue that is, or copy its text into the instructions"
        )
    return page


def _pages(repo_url: str, page: ForgePage) -> set[str]:
    """Return the addresses to which a page of the repository may belong."""
    own = page_of(repo_url)
    if page.kind is PageKind.PULL_REQUEST or GIT not in own:
        return {own}
    project, _, name = own.partition(GIT)  # the name is that of the project too if the address has no project
    return {project, f"{project}/{name}"}


def _split(text: str) -> SplitResult | None:
    """Return the parts of an address; None if no forge has such an address."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    segments = unquote(parts.path).rstrip("/").split("/")[1:]
    is_plain = is_address(text) and text.isascii() and text.isprintable() and len(text) <= _MAX_CHARACTERS
    is_path = not {"", ".", ".."} & set(segments) and "%2f" not in parts.path.lower() and "\\" not in text
    return parts if is_plain and is_path and parts.hostname and "@" not in parts.netloc else None


def _place(address: str) -> tuple[str, int, str]:
    """Return the host, the port and the path. Forges do not tell upper from lower case."""
    parts = urlsplit(address)
    port = parts.port or _PORTS.get(parts.scheme, 0)
    return parts.hostname or "", port, unquote(parts.path).strip("/").casefold()


def _origin(address: str) -> tuple[str, str, int]:
    return urlsplit(address).scheme, *_place(address)[:2]


def _a(kind: PageKind) -> str:
    return f"an {kind}" if kind is PageKind.ISSUE else f"a {kind}"


def shown_address(text: str) -> str:
    """Return an address for a message or a name: on one line, cut, and without a user name and a password."""
    return re.sub(r"//[^/?#]*@", "//…@", one_line(text))[:_SHOWN_CHARACTERS]
