"""What a run keeps is where its path says, whole, and apart from other runs' keepings."""

import gzip
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.errors import StoreUnavailable
from flows.state.store import RunStore


class Folder:
    """A file system in a directory, as Prefect's are."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read_path(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    def write_path(self, path: str, content: bytes) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


class Faulty(Folder):
    """A file system that does not answer a few times."""

    def __init__(self, root: Path, faults: int) -> None:
        super().__init__(root)
        self.faults = faults

    def read_path(self, path: str) -> bytes:
        self._fail()
        return super().read_path(path)

    def write_path(self, path: str, content: bytes) -> None:
        self._fail()
        super().write_path(path, content)

    def _fail(self) -> None:
        if self.faults:
            self.faults -= 1
            raise ConnectionError("try later")


class FullDisk(Folder):
    """A file system on which nothing can be written."""

    def write_path(self, path: str, content: bytes) -> None:
        raise OSError(28, f"No space left on device for {len(content)} bytes", path)


RUN = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(Folder(tmp_path), RUN)


@pytest.mark.parametrize("events", [b"", b'{"type": "result"}\n', b"\xff\x00\n" * 5000])
def test_a_transcript_is_kept_compressed_as_it_came(store: RunStore, tmp_path: Path, events: bytes) -> None:
    path = store.keep_transcript([events])
    assert path == f"claude-code-headless/{RUN}/transcript.jsonl.gz"
    assert gzip.decompress((tmp_path / path).read_bytes()) == events


def test_the_same_transcript_is_kept_as_the_same_bytes(store: RunStore, tmp_path: Path) -> None:
    path = tmp_path / store.keep_transcript([b"{}\n"] * 1000)
    first = path.read_bytes()
    store.keep_transcript([b"{}\n"] * 1000)
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


def test_a_failure_to_keep_is_not_swallowed(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="No space left"):
        RunStore(FullDisk(tmp_path), RUN, (0.0,)).keep_report("x")


def test_a_file_system_that_does_not_answer_is_asked_again(tmp_path: Path) -> None:
    RunStore(Faulty(tmp_path, faults=2), RUN, (0.0, 0.0)).seal("plan", b"x")
    assert RunStore(Faulty(tmp_path, faults=2), RUN, (0.0, 0.0)).unseal("plan") == b"x"
    with pytest.raises(StoreUnavailable, match="try later"):
        RunStore(Faulty(tmp_path, faults=3), RUN, (0.0, 0.0)).unseal("plan")


def test_what_was_never_kept_is_none_at_once(store: RunStore) -> None:
    assert store.unseal("plan") is None


@given(st.binary(max_size=200), st.data())
def test_what_is_torn_or_changed_is_as_good_as_none(content: bytes, data: st.DataObject) -> None:
    with TemporaryDirectory() as root:
        store = RunStore(Folder(Path(root)), RUN)
        file = Path(root) / store.seal("change", content)
        assert store.unseal("change") == content
        whole = file.read_bytes()
        at = data.draw(st.integers(0, len(whole) - 1))
        for torn in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]):
            file.write_bytes(torn)
            assert store.unseal("change") is None
