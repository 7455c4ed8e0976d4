"""Limits a git token to certain hosts and repositories. These limits are called the token's binding.

The fields `hosts` and `repositories` of the token's secret contain the binding. A host is written `github.com` or
`git.example.com:8443`; a host without a port means the default port of the URL's scheme. A repository is written as a
URL. In the path of the URL, `*` stands for one or more characters of one part between slashes. `**` stands for one or
more whole parts, and may only be the last part.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import unquote

from flows.errors import InvalidGitSecret
from flows.parameters.addresses import RepoUrl
from flows.repository.secret_fields import HOSTS, REPOSITORIES, intended_field
from flows.text_safety import ASCII_CONTROLS

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_HOST: Final = re.compile(
    r"(\[[0-9a-f:.]+\]|[0-9a-z_](?:[0-9a-z._-]*[0-9a-z_.])?)(?::([0-9]+))?", re.IGNORECASE | re.ASCII
)
_URL: Final = re.compile(r"(https?)://([^/\\@?#*\s]+)/([^\\?#\s]+)")
_MAX_LISTED: Final = 10

Endpoint = tuple[str, int]
"""A host name, as `_normal_host` returns it, and a port."""


@dataclass(frozen=True)
class _Host:
    name: str
    port: int | None
    """The port; None for the default port of the URL's scheme."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a text of the form `host` or `host:port`; raise `ValueError`, with the reason, for any other text."""
        match = _HOST.fullmatch(text)
        port = int(match[2]) if match and match[2] else None
        if match is None or (port is not None and not 0 < port < 2**16):
            raise ValueError("is not a host or host:port (no scheme, no path, no *; write a non-ASCII name as xn--…)")
        return cls(_normal_host(match[1]), port)

    def endpoint(self, scheme: str) -> Endpoint:
        return self.name, self.port or _DEFAULT_PORTS[scheme]


@dataclass(frozen=True)
class _Repositories:
    """The repositories that one pattern, such as `https://github.com/your-org/*`, allows."""

    scheme: str
    endpoint: Endpoint
    path: re.Pattern[str]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a pattern for the URLs of repositories; raise `ValueError`, with the reason, if it is malformed."""
        match = _URL.fullmatch(text)
        if match is None:
            raise ValueError("is not like https://github.com/your-org/* (to allow a whole host, list it in hosts)")
        parts = match[3].removesuffix(".git").split("/")
        if not all(map(_is_plain, parts)):
            raise ValueError("has an empty or ambiguous part in its path: correct the path, or end it with /* or /**")
        *folders, last = parts
        if any("**" in part for part in folders) or ("**" in last and last != "**"):
            raise ValueError("has a ** that is not the whole last part of its path: use * there")
        tail = "[^/]+(/[^/]+)*" if last == "**" else _part_pattern(last)
        path = re.compile("/".join([*map(_part_pattern, folders), tail]))
        return cls(match[1], _Host.parse(match[2]).endpoint(match[1]), path)

    def allow(self, scheme: str, endpoint: Endpoint, path: str) -> bool:
        return (scheme, endpoint) == (self.scheme, self.endpoint) and self.path.fullmatch(path) is not None


@dataclass(frozen=True)
class Binding:
    """The limits of a token: it is only for repositories that are on an allowed host and match an allowed pattern."""

    hosts: tuple[str, ...] | None = None
    """The allowed hosts; None allows any host."""
    repositories: tuple[str, ...] | None = None
    """The patterns of the allowed repositories; None allows any repository."""

    @classmethod
    def parse(cls, fields: Mapping[str, object], source: str) -> Self:
        """Return the binding in `fields`. The text `source` names the secret or block that has these fields.

        Raises:
            InvalidGitSecret: A list is malformed, or a field's name is a misspelt `hosts` or `repositories`: ignoring
                such a field would leave the token unbound. The message quotes no value.
        """
        for name in fields:
            correct = intended_field(name)
            if name != correct and correct in {HOSTS, REPOSITORIES}:
                raise InvalidGitSecret(
                    f"{source} has the field {name!r}, which looks like {correct!r}: rename it to {correct!r}, and "
                    "make it a list"
                )
        return cls(
            _entries(fields, HOSTS, source, _Host.parse), _entries(fields, REPOSITORIES, source, _Repositories.parse)
        )

    @property
    def is_empty(self) -> bool:
        """Whether the binding sets no limits, and so allows every repository on every host."""
        return self.hosts is None and self.repositories is None

    def allows(self, url: RepoUrl) -> bool:
        """Whether the token may be used for this repository."""
        scheme, _, netloc = url.origin.partition("://")
        try:
            endpoint = _Host.parse(netloc).endpoint(scheme)
        except ValueError:
            return self.is_empty
        path = _normal_path(url)
        return (self.hosts is None or any(_Host.parse(host).endpoint(scheme) == endpoint for host in self.hosts)) and (
            self.repositories is None
            or any(_Repositories.parse(pattern).allow(scheme, endpoint, path) for pattern in self.repositories)
        )

    def __str__(self) -> str:
        lists = ((HOSTS, self.hosts), (REPOSITORIES, self.repositories))
        return " and ".join(f"{name} {_abbreviate(entries)}" for name, entries in lists if entries is not None)


def _entries(
    fields: Mapping[str, object], name: str, source: str, parse: Callable[[str], object]
) -> tuple[str, ...] | None:
    if name not in fields:
        return None
    entries = fields[name]
    if not isinstance(entries, list) or not entries:
        raise InvalidGitSecret(f"{source}: {name} must be a list with at least one entry: correct it, or leave it out")
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, str):
            raise InvalidGitSecret(f"{source}: entry {number} of {name} is not a string")
        try:
            parse(entry)
        except ValueError as error:
            raise InvalidGitSecret(f"{source}: entry {number} of {name} {error}") from None
    return tuple(entries)


def _normal_host(text: str) -> str:
    """Return the host in lower case without a final dot, or an IP address in its shortest form."""
    host = text.lower().removesuffix(".")
    try:
        return ipaddress.ip_address(host.strip("[]")).compressed
    except ValueError:
        if host.startswith("["):
            raise ValueError("is not an IPv6 address") from None
        return host


def _normal_path(url: RepoUrl) -> str:
    """Return the URL's path, percent-decoded; empty if two servers could read the path as different repositories."""
    parts = url.path.removeprefix("/").removesuffix(".git").split("/")
    return "/".join(map(unquote, parts)) if all(map(_is_plain, parts)) else ""


def _is_plain(part: str) -> bool:
    """Whether all servers read this part of a URL's path, percent-decoded once, in the same way.

    Servers can disagree about these: an empty part; a part of dots only; an escaped slash, backslash or percent sign; a
    semicolon, because some Java servers read `..;` as `..`; and bytes that are not UTF-8, because lenient decoders turn
    them into dots and slashes.
    """
    try:
        decoded = unquote(part, errors="strict")
    except UnicodeDecodeError:
        return False
    return bool(decoded.strip(".")) and not re.search(rf"[/\\%;{ASCII_CONTROLS}]", decoded)


def _part_pattern(part: str) -> str:
    return "[^/]+".join(re.escape(unquote(piece)) for piece in part.split("*"))


def _abbreviate(entries: tuple[str, ...]) -> str:
    more = f" and {len(entries) - _MAX_LISTED} more" if len(entries) > _MAX_LISTED else ""
    return ", ".join(entries[:_MAX_LISTED]) + more
