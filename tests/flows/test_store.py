"""What a run keeps is where its path says, whole, and apart from other runs' keepings."""

import gzip
from pathlib import Path

import pytest

from flows.store import RunStore


class Folder:
    """A file system in a directory, as Prefect's are."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write_path(self, path: str, content: bytes) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


class FullDisk:
    """A file system on which nothing can be written."""

    def write_path(self, path: str, content: bytes) -> None:
        raise OSError(28, f"No space left on device for {len(content)} bytes", path)


RUN = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(Folder(tmp_path), RUN)


@pytest.mark.parametrize("events", [b"", b'{"type": "result"}\n', b"\xff\x00\n" * 5000])
def test_a_transcript_is_kept_compressed_as_it_came(store: RunStore, tmp_path: Path, events: bytes) -> None:
    path = store.keep_transcript(events)
    assert path == f"claude-code-headless/{RUN}/transcript.jsonl.gz"
    assert gzip.decompress((tmp_path / path).read_bytes()) == events


def test_the_same_transcript_is_kept_as_the_same_bytes(store: RunStore, tmp_path: Path) -> None:
    path = tmp_path / store.keep_transcript(b"{}\n" * 1000)
    first = path.read_bytes()
    store.keep_transcript(b"{}\n" * 1000)
    assert path.read_bytes() == first
    assert first[4:8] == bytes(4)  # gzip's time stamp, which would change with the second
    assert len(first) < 300


def test_a_change_is_kept_byte_by_byte(store: RunStore, tmp_path: Path) -> None:
    path = store.keep_change(b"# v2 git bundle\n\x00\xff")
    assert path == f"claude-code-headless/{RUN}/change.bundle"
    assert (tmp_path / path).read_bytes() == b"# v2 git bundle\n\x00\xff"


def test_a_report_is_kept_as_utf_8(store: RunStore, tmp_path: Path) -> None:
    path = store.keep_report("# Été\r\n")
    assert path == f"claude-code-headless/{RUN}/report.md"
    assert (tmp_path / path).read_bytes() == b"# \xc3\x89t\xc3\xa9\r\n"


def test_a_second_keeping_replaces_the_first(store: RunStore, tmp_path: Path) -> None:
    store.keep_report("a long first report")
    assert (tmp_path / store.keep_report("second")).read_text() == "second"


def test_two_runs_keep_their_things_apart(tmp_path: Path) -> None:
    one, other = RunStore(Folder(tmp_path), "one"), RunStore(Folder(tmp_path), "other")
    paths = [one.keep_report("1"), other.keep_report("2")]
    assert [(tmp_path / path).read_text() for path in paths] == ["1", "2"]
    assert one.path("x") != other.path("x")


def test_a_failure_to_keep_is_not_swallowed() -> None:
    with pytest.raises(OSError, match="No space left"):
        RunStore(FullDisk(), RUN).keep_report("x")
