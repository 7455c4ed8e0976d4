"""The record of a pull request outlives the process; a store that does not answer costs only the record."""

import logging
from pathlib import Path

import pytest
from prefect.filesystems import LocalFileSystem

from flows.errors import Superseded
from flows.state.pull_request_record import PullRequestRecord
from flows.state.store import RunStore

RECORD = {"number": 7, "title": "Say hello", "refusals": ["no label"]}
LOGGER = logging.getLogger("test")


class BrokenFiles:
    """A file system that does not answer."""

    def read_path(self, path: str) -> bytes:
        raise OSError(path)

    def write_path(self, path: str, content: bytes) -> None:
        raise OSError(path, content)


def store(folder: Path, attempt: str = "") -> RunStore:
    return RunStore(LocalFileSystem(basepath=str(folder)), "the-run", (), attempt)


def test_another_attempt_finds_the_record(tmp_path: Path) -> None:
    record = PullRequestRecord(store(tmp_path), LOGGER)
    assert record.load() is None
    record.save(RECORD)
    assert record.load() == RECORD
    assert PullRequestRecord(store(tmp_path), LOGGER).load() == RECORD


def test_a_damaged_record_counts_as_missing(tmp_path: Path) -> None:
    PullRequestRecord(store(tmp_path), LOGGER).save(RECORD)
    path = tmp_path / store(tmp_path).path("pull-request")
    path.write_bytes(path.read_bytes()[:-1])
    assert PullRequestRecord(store(tmp_path), LOGGER).load() is None


def test_without_a_store_this_attempt_still_knows_what_it_did(caplog: pytest.LogCaptureFixture) -> None:
    record = PullRequestRecord(RunStore(BrokenFiles(), "the-run", ()), LOGGER)
    assert record.load() is None
    record.save(RECORD)
    assert record.load() == RECORD
    assert "could not be read" in caplog.text
    assert "could not be saved" in caplog.text


def test_a_later_attempt_ends_an_earlier_one(tmp_path: Path) -> None:
    first, second = store(tmp_path, "first"), store(tmp_path, "second")
    first.take_lease()
    second.take_lease()
    with pytest.raises(Superseded):
        PullRequestRecord(first, LOGGER).save(RECORD)
