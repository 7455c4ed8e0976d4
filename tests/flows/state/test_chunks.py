"""A stream is read back from its chunks unchanged, for blocks of any size, or the damage is reported."""

import os
from itertools import chain, repeat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.filesystems import LocalFileSystem

from flows.state import chunks
from flows.state.chunks import DamagedChunk, read_chunks, save_chunks
from flows.state.store import RunStore


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(LocalFileSystem(basepath=str(tmp_path)), "the-run", ())


@given(st.lists(st.binary(max_size=50), max_size=20), st.integers(1, 60))
def test_a_stream_is_read_back_unchanged(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[bytes], size: int
) -> None:
    store = RunStore(LocalFileSystem(basepath=str(tmp_path_factory.mktemp("store"))), "the-run", ())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK_BYTES", size)
        digests = save_chunks(store, "x", blocks)
    assert len(digests) <= max(1, sum(map(len, blocks)) // size + 1)
    read_back = list(read_chunks(store, "x", digests))
    assert b"".join(read_back) == b"".join(blocks)
    assert all(len(chunk) < size + 50 for chunk in read_back)


def test_no_chunk_is_large(store: RunStore, tmp_path: Path) -> None:
    block = os.urandom(2**20)
    digests = save_chunks(store, "x", repeat(block, 40))
    sizes = [path.stat().st_size for path in (tmp_path / store.path("")).iterdir()]
    assert len(digests) == len(sizes) == 3
    assert max(sizes) < chunks.CHUNK_BYTES + 2**20


@pytest.mark.parametrize("damage", ["missing", "torn", "of another stream"])
def test_no_part_of_a_damaged_chunk_is_returned(store: RunStore, tmp_path: Path, damage: str) -> None:
    digests = save_chunks(store, "x", chain(repeat(bytes(2**20), 17)))
    second = tmp_path / store.path("x-1")
    if damage == "missing":
        second.unlink()
    elif damage == "torn":
        second.write_bytes(second.read_bytes()[:-1])
    else:
        save_chunks(store, "x", repeat(b"\1" * 2**20, 17))
    with pytest.raises(DamagedChunk, match=r"x-\d"):
        list(read_chunks(store, "x", digests))
