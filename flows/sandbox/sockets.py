"""Lists the sockets on which a user's processes listen, from the files of proc(5)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

_FILES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LISTEN: Final = "0A"
"""The state of a listening socket, TCP_LISTEN of the kernel."""


@dataclass(frozen=True)
class Socket:
    """A listening TCP socket."""

    address: IPv4Address | IPv6Address
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only processes of this machine can reach the socket."""
        mapped = self.address.ipv4_mapped if isinstance(self.address, IPv6Address) else None
        return (mapped or self.address).is_loopback

    def __str__(self) -> str:
        host = f"[{self.address}]" if isinstance(self.address, IPv6Address) else str(self.address)
        return f"{host}:{self.port}"


def listening_sockets(uid: int) -> list[Socket]:
    """Return the TCP sockets on which processes with this uid listen."""
    return [socket for file in _FILES if file.exists() for socket in _sockets(file.read_text(), str(uid))]


def _sockets(table: str, uid: str) -> Iterator[Socket]:
    for row in table.splitlines()[1:]:
        _, local, _, state, _, _, _, owner, *_ = row.split()
        if state == _LISTEN and owner == uid:
            address, _, port = local.partition(":")
            yield Socket(_address(address), int(port, 16))


def _address(digits: str) -> IPv4Address | IPv6Address:
    """Return the address that the kernel wrote as numbers of 32 bits in the byte order of this machine."""
    words = [int(digits[start : start + 8], 16) for start in range(0, len(digits), 8)]
    return ip_address(struct.pack(f"={len(words)}I", *words))
