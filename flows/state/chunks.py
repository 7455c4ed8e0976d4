"""Saves a long stream of bytes, which need not fit into memory, in the run store as chunks of limited size.

Each chunk is compressed, and is a file with a number. The caller saves a list of the chunks' digests in another file,
which is written last: a chunk counts only if its digest is in that list.
"""

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from flows.state.store import RunStore

CHUNK_BYTES: Final = 16 * 2**20
"""The size of a chunk in bytes before compression. A chunk may be larger by up to one block of the stream."""

_FASTEST: Final = 1


class DamagedChunk(Exception):
    """A saved chunk is missing, or differs from the chunk that was saved."""


def save_chunks(store: RunStore, name: str, blocks: Iterable[bytes]) -> tuple[str, ...]:
    """Save a stream as the files `<name>-0`, `<name>-1`, …; return the digests of the chunks."""
    digests = []
    for number, chunk in enumerate(_compressed(blocks)):
        store.save(f"{name}-{number}", chunk)
        digests.append(hashlib.sha256(chunk).hexdigest())
    return tuple(digests)


def read_chunks(store: RunStore, name: str, digests: Iterable[str]) -> Iterator[bytes]:
    """Yield the stream, one chunk at a time. At a damaged chunk, raise `DamagedChunk` and yield no part of it."""
    for number, digest in enumerate(digests):
        chunk = store.read(f"{name}-{number}")
        if chunk is None or hashlib.sha256(chunk).hexdigest() != digest:
            raise DamagedChunk(f"{store.path(f'{name}-{number}')} is missing or differs from what was saved")
        yield zlib.decompress(chunk)


def _compressed(blocks: Iterable[bytes]) -> Iterator[bytes]:
    compressor, compressed, size = zlib.compressobj(_FASTEST), bytearray(), 0
    for block in blocks:
        compressed += compressor.compress(block)
        size += len(block)
        if size >= CHUNK_BYTES:
            yield bytes(compressed + compressor.flush())
            compressor, compressed, size = zlib.compressobj(_FASTEST), bytearray(), 0
    if size:
        yield bytes(compressed + compressor.flush())
