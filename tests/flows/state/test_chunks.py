"""A stream comes back from its parts as it was, whatever its chunks were, or is said to be damaged."""

import os
from itertools import chain, repeat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.filesystems import LocalFileSystem

from flows.state import chunks as parts
from flows.state.chunks import Damaged, keep_parts, read_parts
from flows.state.store import RunStore


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(LocalFileSystem(basepath=str(tmp_path)), "the-run", ())


@given(st.lists(st.binary(max_size=50), max_size=20), st.integers(1, 60))
def test_a_stream_comes_back(tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes], size: int) -> None:
    store = RunStore(LocalFileSystem(basepath=str(tmp_path_factory.mktemp("store"))), "the-run", ())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "PART_BYTES", size)
        digests = keep_parts(store, "x", chunks)
    assert len(digests) <= max(1, sum(map(len, chunks)) // size + 1)
    back = list(read_parts(store, "x", digests))
    assert b"".join(back) == b"".join(chunks)
    assert all(len(part) < size + 50 for part in back)


def test_no_part_is_large(store: RunStore, tmp_path: Path) -> None:
    chunk = os.urandom(2**20)
    digests = keep_parts(store, "x", repeat(chunk, 40))
    sizes = [path.stat().st_size for path in (tmp_path / store.path("")).iterdir()]
    assert len(digests) == len(sizes) == 3
    assert max(sizes) < parts.PART_BYTES + 2**20


@pytest.mark.parametrize("damage", ["missing", "torn", "another's"])
def test_what_is_not_as_it_was_kept_is_never_given_out(store: RunStore, tmp_path: Path, damage: str) -> None:
    digests = keep_parts(store, "x", chain(repeat(bytes(2**20), 17)))
    second = tmp_path / store.path("x-1")
    if damage == "missing":
        second.unlink()
    elif damage == "torn":
        second.write_bytes(second.read_bytes()[:-1])
    else:
        keep_parts(store, "x", repeat(b"\1" * 2**20, 17))
    with pytest.raises(Damaged, match=r"x-\d"):
        list(read_parts(store, "x", digests))
