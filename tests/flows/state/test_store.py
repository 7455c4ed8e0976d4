"""The files in a run store: saved at their path, complete, and apart from the files of other runs."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.errors import StoreUnavailable
from flows.state.files import StateFile
from flows.state.store import VERSION, RunStore


class Folder:
    """A file system in a directory, with the interface of Prefect's file systems."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read_path(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    def write_path(self, path: str, content: bytes) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


class Faulty(Folder):
    """A file system whose first few calls fail."""

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
    """A file system to which nothing can be written."""

    def write_path(self, path: str, content: bytes) -> None:
        raise OSError(28, f"No space left on device for {len(content)} bytes", path)


RUN = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(Folder(tmp_path), RUN)


def test_a_file_is_saved_byte_for_byte(store: RunStore, tmp_path: Path) -> None:
    path = store.save(StateFile.BUNDLE, b"# v2 git bundle\n\x00\xff")
    assert path == f"claude-code-headless/{RUN}/change.bundle"
    assert (tmp_path / path).read_bytes() == b"# v2 git bundle\n\x00\xff"


def test_a_file_that_is_saved_again_is_replaced(store: RunStore, tmp_path: Path) -> None:
    store.save("report.md", b"a long first report")
    assert (tmp_path / store.save("report.md", b"second")).read_text() == "second"


def test_two_runs_have_separate_files(tmp_path: Path) -> None:
    first, second = RunStore(Folder(tmp_path), "one"), RunStore(Folder(tmp_path), "other")
    paths = [first.save("report.md", b"1"), second.save("report.md", b"2")]
    assert [(tmp_path / path).read_text() for path in paths] == ["1", "2"]
    assert first.path("x") != second.path("x")


def test_a_failure_to_save_is_raised(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="No space left"):
        RunStore(FullDisk(tmp_path), RUN, (0.0,)).save("report.md", b"x")


def test_a_request_to_a_file_system_that_does_not_answer_is_retried(tmp_path: Path) -> None:
    RunStore(Faulty(tmp_path, faults=2), RUN, (0.0, 0.0)).save_sealed("plan", b"x")
    assert RunStore(Faulty(tmp_path, faults=2), RUN, (0.0, 0.0)).read_sealed("plan") == b"x"
    with pytest.raises(StoreUnavailable, match="try later"):
        RunStore(Faulty(tmp_path, faults=3), RUN, (0.0, 0.0)).read_sealed("plan")


def test_a_file_that_was_never_saved_is_none_without_retries(store: RunStore) -> None:
    assert store.read_sealed("plan") is None


@given(st.binary(max_size=200), st.data())
def test_a_file_that_is_torn_or_changed_is_none(content: bytes, data: st.DataObject) -> None:
    with TemporaryDirectory() as root:
        store = RunStore(Folder(Path(root)), RUN)
        file = Path(root) / store.save_sealed("change", content)
        assert store.read_sealed("change") == content
        intact = file.read_bytes()
        offset = data.draw(st.integers(0, len(intact) - 1))
        for damaged in (intact[:offset], intact[:offset] + bytes([intact[offset] ^ 1]) + intact[offset + 1 :]):
            file.write_bytes(damaged)
            assert store.read_sealed("change") is None


@pytest.mark.parametrize("version", ["1", "2", "10"])
def test_a_file_of_another_version_is_none_and_its_version_is_named(
    store: RunStore, tmp_path: Path, version: str
) -> None:
    path = tmp_path / store.save_sealed("plan", b"content")
    assert store.fault("plan") == ""
    path.write_bytes(path.read_bytes().replace(b" %d " % VERSION, f" {version} ".encode(), 1))
    assert store.read_sealed("plan") is None
    assert store.fault("plan") == f"version {version} of plan"


DAMAGED = [b"claude-code-headless", b"claude-code-headless 1\x1b[31m x\n", b"another-program 1 x\n", b"\xff\n", b"\n"]


@pytest.mark.parametrize("content", [*DAMAGED, b"claude-code-headless " + b"9" * 1000 + b" x\n"])
def test_any_other_file_is_damaged(store: RunStore, content: bytes) -> None:
    store.save("plan", content)
    assert store.fault("plan") == "a damaged plan"


def test_a_file_that_is_missing_or_empty_has_no_fault(store: RunStore) -> None:
    assert store.fault("plan") == ""
    store.save("plan", b"")
    assert store.fault("plan") == ""
