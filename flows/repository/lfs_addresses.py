"""Decides which addresses in the answers of an LFS server a run sends requests to.

The server that stores the objects may be another one than the git server, so its address comes from an answer. Such an
address must not lead to this machine, or to a service that gives this machine its credentials.
"""

import ipaddress
import socket
from typing import Final
from urllib.parse import SplitResult, urlsplit

from flows.errors import LfsFailed

_METADATA: Final = frozenset({"fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "100.100.100.200", "168.63.129.16"})
"""Addresses of cloud providers' metadata services that are not link-local."""

_PORTS: Final = {"https": 443, "http": 80}


def origin_of(address: str) -> str:
    """Return scheme, host and port of a URL, for a comparison and for messages. The path may hold a credential."""
    parts = _split(address)
    return f"{parts.scheme}://{parts.hostname or ''}:{parts.port or _PORTS.get(parts.scheme, 0)}"


def check_address(address: str, repository_origin: str) -> None:
    """Raise `LfsFailed` if a run must not send a request to the address.

    Args:
        address: The URL, from an answer of the LFS server.
        repository_origin: The origin of the run's repository. Its own machine is always allowed.
    """
    parts, own = _split(address), _split(repository_origin)
    if parts.scheme not in {"https", own.scheme} or not parts.hostname or "@" in parts.netloc:
        raise LfsFailed(
            f"the LFS server names an address that is not https, or has a user name: {origin_of(address)}. Have the "
            "owner of the server correct it, or turn lfs off"
        )
    if refused := _internal_addresses(parts) - _internal_addresses(own):
        raise LfsFailed(
            f"the LFS server names the address {origin_of(address)}, which leads to {min(refused)}: a run sends no "
            "request to its own machine or its cloud's metadata. Have the owner of the server correct it, or turn lfs "
            "off"
        )


def _split(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        _ = parts.port, parts.hostname
    except ValueError:
        raise LfsFailed(
            "the LFS server names an address that is not a URL: have the owner of the server correct it, or turn lfs "
            "off"
        ) from None
    return parts


def _internal_addresses(parts: SplitResult) -> set[str]:
    """Return the IP addresses of a URL's host that belong to this machine, its link or a metadata service.

    A name that this machine cannot look up has no address: behind a proxy, the proxy looks it up.
    """
    try:
        rows = socket.getaddrinfo(parts.hostname, parts.port or _PORTS.get(parts.scheme, 0), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {address for row in rows if _is_internal(address := str(row[4][0]).partition("%")[0])}


def _is_internal(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    ip = getattr(parsed, "ipv4_mapped", None) or parsed
    is_local = ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast
    return bool(is_local) or str(ip) in _METADATA
