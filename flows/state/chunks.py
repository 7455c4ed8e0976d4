"""A long stream of bytes in the run store: kept in parts of bounded size, so that nobody ever holds the whole of it.

Parts are compressed and named by number. Their digests say which bytes belong together; whoever keeps the digests, in a
file that is written last, makes the parts count.
"""

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from flows.state.store import RunStore

PART_BYTES: Final = 16 * 2**20
"""Of the stream in one part, before compression, and at most one chunk more."""

_FASTEST: Final = 1


class Damaged(Exception):
    """A part is missing, or is not the one that was kept."""


def keep_parts(store: RunStore, name: str, chunks: Iterable[bytes]) -> tuple[str, ...]:
    """Keep a stream under `<name>-0`, `<name>-1`, …; return the parts' digests."""
    return tuple(_keep(store, f"{name}-{number}", part) for number, part in enumerate(_cut(chunks)))


def read_parts(store: RunStore, name: str, digests: Iterable[str]) -> Iterator[bytes]:
    """Yield the stream, a part at a time; raise `Damaged` before anything of a part that is not whole."""
    for number, digest in enumerate(digests):
        part = store.read(f"{name}-{number}")
        if part is None or hashlib.sha256(part).hexdigest() != digest:
            raise Damaged(f"{store.path(f'{name}-{number}')} is missing or not as it was kept")
        yield zlib.decompress(part)


def _keep(store: RunStore, name: str, part: bytes) -> str:
    store.keep(name, part)
    return hashlib.sha256(part).hexdigest()


def _cut(chunks: Iterable[bytes]) -> Iterator[bytes]:
    packer, packed, size = zlib.compressobj(_FASTEST), bytearray(), 0
    for chunk in chunks:
        packed += packer.compress(chunk)
        size += len(chunk)
        if size >= PART_BYTES:
            yield bytes(packed + packer.flush())
            packer, packed, size = zlib.compressobj(_FASTEST), bytearray(), 0
    if size:
        yield bytes(packed + packer.flush())
