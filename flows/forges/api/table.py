"""Opens the client of the API that a repository's forge has, and decides to which address the token may go."""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

import httpx
from pydantic import SecretStr

from flows.errors import InvalidForgeApiUrl
from flows.forges.api.azure import AzureDevOpsApi
from flows.forges.api.base import ForgeApi, Repository
from flows.forges.api.bitbucket import BitbucketApi
from flows.forges.api.gitea import GiteaApi
from flows.forges.api.github import GitHubApi
from flows.forges.api.gitlab import GitLabApi
from flows.forges.base import Forge
from flows.forges.table import FORGES, forge_of, page_of
from flows.text_safety import ASCII_CONTROLS

APIS: Final[Mapping[str, type[ForgeApi]]] = {
    "github": GitHubApi,
    "gitlab": GitLabApi,
    "bitbucket": BitbucketApi,
    "gitea": GiteaApi,
    "azure": AzureDevOpsApi,
}
"""The clients, by the name of the forge. AWS CodeCommit has none: a run shows the page for opening a pull request."""

_API_PATHS: Final = {"github": "/api/v3", "gitlab": "/api/v4", "gitea": "/api/v1"}
"""What the API of an installation has after the path of the installation itself."""

_PORTS: Final = {"https": 443, "http": 80}


def open_api(
    url: str,
    token: SecretStr,
    email: str = "",
    *,
    forge: str = "",
    forge_api_url: str = "",
    allowed_api_urls: Sequence[str] = (),
) -> ForgeApi:
    """Return the client of the API of a repository's forge. Use it in a `with` statement.

    Args:
        url: The repository's URL.
        token: The token. It is sent to the API's origin only.
        email: The e-mail address of the token's account. Bitbucket asks for it with API tokens.
        forge: The kind of the forge; empty to recognise it by the URL's host.
        forge_api_url: The address of the API; empty for the known or usual address.
        allowed_api_urls: What `forge_api_url` may be although it is on another server than the repository. It must
            come from the operator, and not from the person who starts a run.

    Raises:
        InvalidForgeApiUrl: The forge is unknown or has no known API, or the token may not go to `forge_api_url`.
    """
    repository = repository_of(url, token, email, forge, forge_api_url, allowed_api_urls)
    return APIS[repository.forge.name](repository)


def repository_of(
    url: str, token: SecretStr, email: str, forge: str, forge_api_url: str, allowed_api_urls: Sequence[str]
) -> Repository:
    """Return what a client has to know; see `open_api`."""
    kind = forge_of(url, forge)
    if kind is None or kind.name not in APIS:
        known = ", ".join(each.name for each in FORGES if each.name in APIS)
        raise InvalidForgeApiUrl(
            f"pull requests cannot be opened on {urlsplit(url).netloc}: {_reason(kind, forge)}. Set the parameter "
            f"forge to one of {known} if it is one, or pull_request.pull_request to never"
        )
    page = page_of(url)
    known_address = kind.api_url(page)
    address = forge_api_url.rstrip("/") or known_address
    if not address:
        raise InvalidForgeApiUrl(f"{urlsplit(url).netloc} is not the usual host of {kind.name}: set forge_api_url")
    if forge_api_url:
        _check(address, url, {known_address, *(each.rstrip("/") for each in allowed_api_urls)})
    return Repository(kind, page, _path_below(page, address, kind.name), address, token, email)


def _reason(kind: Forge | None, name: str) -> str:
    """Return why a forge has no client."""
    if kind:
        return f"{kind.name} has no client"
    return f"forge is {name}" if name else "its host is not the usual one of a forge"


def _check(address: str, url: str, allowed: set[str]) -> None:
    """Raise `InvalidForgeApiUrl` if the token must not be sent to the address."""
    parts, own = _split(address), _split(url)
    if not _is_plain(address):
        raise InvalidForgeApiUrl(f"forge_api_url has characters that no address has: {_EXAMPLE}")
    if parts.scheme not in {"https", own.scheme} or not parts.hostname:
        raise InvalidForgeApiUrl(f"forge_api_url is not an https address: {_EXAMPLE}")
    if "@" in parts.netloc:
        raise InvalidForgeApiUrl(f"forge_api_url has a user name or a token: {_EXAMPLE}")
    if "?" in address or "#" in address or ".." in unquote(parts.path).split("/"):
        raise InvalidForgeApiUrl(f"forge_api_url has a query, a fragment or '..' in its path: {_EXAMPLE}")
    if _origin(parts) != _origin(own) and address not in allowed:
        raise InvalidForgeApiUrl(
            f"forge_api_url is on {parts.netloc}, and repo_url is on {own.netloc}: the git token goes to another "
            "server only if forge_api_urls of the Git Credentials block or secret lists this address"
        )


_EXAMPLE: Final = "give one such as https://git.example.com/gitlab/api/v4"


def _is_plain(address: str) -> bool:
    """Whether all programs read the address in the same way."""
    try:
        httpx.URL(address)
    except httpx.InvalidURL:
        return False
    return re.search(rf"[\s\\{ASCII_CONTROLS}]", address) is None


def _split(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        _ = parts.port, parts.hostname
    except ValueError:
        raise InvalidForgeApiUrl(f"forge_api_url is not a URL: {_EXAMPLE}") from None
    return parts


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def _path_below(page: str, address: str, name: str) -> str:
    """Return the path of the repository without that of the installation, each part percent-encoded once."""
    path, api = _split(page), _split(address)
    is_same = _origin(path) == _origin(api)
    root = api.path.removesuffix(_API_PATHS.get(name, "")) if is_same and name != "bitbucket" else ""
    below = path.path.removeprefix(f"{root}/") if root else path.path
    return "/".join(quote(unquote(part), safe="") for part in below.strip("/").split("/"))
