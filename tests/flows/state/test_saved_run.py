"""The saved state of a run: a later attempt reads it, with the newer of the two complete checkpoints."""

import gzip
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prefect.filesystems import LocalFileSystem

from flows.instructions.files import InstructionFile, Instructions, IssueSource
from flows.model.cache_use import CacheUse
from flows.repository.clone import Checkout
from flows.sandbox.services import Service
from flows.state.agent_report import AgentReport, ReviewReply
from flows.state.files import StateFile
from flows.state.records import Checkpoint, FinishedWork, Plan
from flows.state.saved_run import SavedRun
from flows.state.store import VERSION, RunStore

FILES = (InstructionFile("main.md", 4, "etag", "v1"), InstructionFile("a/ü.bin", 2))
PAGE = "https://example.com/a/b"
ISSUE = IssueSource(PAGE, 12, f"{PAGE}/issues/12", "#12", "eve", is_by_stranger=True, unheard=("bob",))
PLAN = Plan(
    "https://example.com/a/b",
    Checkout(
        "new",
        "main",
        "0" * 40,
        "Be brief.",
        services=(Service("redis", "redis-server", "redis-cli ping", 5),),
        verify_commands="make test",
        junit=("reports/*.xml",),
        merged_commit="3" * 40,
        merged_branch="main",
    ),
    Instructions("s3://b/*", FILES, "main.md", "Work", ISSUE),
    datetime(2026, 11, 23, 12, tzinfo=UTC),
    ("0" * 64, "1" * 64),
)
REPLIES = (ReviewReply(1, "Renamed it.", is_changed=True), ReviewReply(2, "No."))
SPENDING = {"spent_usd": 0.5, "replies": 3, "tokens": {"input_tokens": 7}, "is_exact": True}
REPORT = AgentReport(
    "Done.", 4, 0.5, 1.5, "the-session", {"model": {}}, ("Bash",), cache=CacheUse(90, 60, 0.25), replies=REPLIES
)
FINISHED = FinishedWork("2" * 40, REPORT, b"bundle")
LOGGER = logging.getLogger("test")


@pytest.fixture
def saved(tmp_path: Path) -> SavedRun:
    return SavedRun(RunStore(LocalFileSystem(basepath=str(tmp_path)), "the-run", ()))


def checkpoint(number: int) -> Checkpoint:
    return Checkpoint(number, "1" * 40, SPENDING, "the-session", b"bundle %d" % number, b"{}\n")


def loaded(saved: SavedRun) -> SavedRun:
    """Return the state that another attempt loads."""
    state = SavedRun(RunStore(saved.store.files, "the-run", ()))
    state.load(LOGGER)
    return state


def records(saved: SavedRun) -> tuple[Plan | None, Checkpoint | None, FinishedWork | None]:
    return saved.plan, saved.checkpoint, saved.finished


def test_a_run_that_saved_nothing_has_no_state(saved: SavedRun) -> None:
    assert records(loaded(saved)) == (None, None, None)
    assert loaded(saved).names == set()


def test_another_attempt_reads_everything(saved: SavedRun) -> None:
    saved.save_plan(PLAN)
    saved.save_checkpoint(checkpoint(0))
    saved.save_finished(FINISHED, LOGGER)
    assert records(saved) == records(loaded(saved)) == (PLAN, checkpoint(0), FINISHED)


def test_work_without_a_change_also_counts_as_finished(saved: SavedRun) -> None:
    saved.save_plan(PLAN)
    saved.save_finished(FinishedWork("", REPORT), LOGGER)
    assert loaded(saved).finished == FinishedWork("", REPORT)
    assert loaded(saved).bundle_path == ""


def test_without_a_plan_the_other_records_are_ignored(saved: SavedRun) -> None:
    saved.save_checkpoint(checkpoint(0))
    assert records(loaded(saved)) == (None, None, None)


@pytest.mark.parametrize("torn", [0, 1, 2, 3])
def test_the_newest_complete_checkpoint_is_loaded(saved: SavedRun, tmp_path: Path, torn: int) -> None:
    saved.save_plan(PLAN)
    for number in range(4):
        saved.save_checkpoint(checkpoint(number))
    newest = tmp_path / saved.store.path(StateFile.CHECKPOINT_1)
    newest.write_bytes(newest.read_bytes()[: torn * 50])
    newest_read = loaded(saved).checkpoint
    assert newest_read is not None
    assert newest_read.number == 2


def test_state_of_another_version_is_not_resumed_and_a_log_line_says_so(
    saved: SavedRun, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saved.save_plan(PLAN)
    saved.save_finished(FINISHED, LOGGER)
    for name in (StateFile.PLAN, StateFile.CHANGE):
        path = tmp_path / saved.store.path(name)
        path.write_bytes(path.read_bytes().replace(b" %d " % VERSION, b" 1 ", 1))
    assert records(loaded(saved)) == (None, None, None)
    assert "the saved state has version 1 of plan and cannot be resumed: this run starts over" in caplog.text


@pytest.mark.parametrize("damage", [b"", b"\x00\xff", b"\n"])
def test_records_of_a_plan_that_cannot_be_read_are_never_loaded_with_the_next_plan(
    saved: SavedRun, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    saved.save_plan(PLAN)
    for number in (9, 10):
        saved.save_checkpoint(checkpoint(number))
    saved.save_finished(FINISHED, LOGGER)
    path = tmp_path / saved.store.path(StateFile.PLAN)
    path.write_bytes(path.read_bytes()[:-7] + damage)
    new_attempt = loaded(saved)
    assert records(new_attempt) == (None, None, None)
    assert "the saved state has a damaged plan and cannot be resumed: this run starts over" in caplog.text
    new_attempt.save_plan(PLAN)
    assert records(loaded(new_attempt)) == (PLAN, None, None)
    new_attempt.save_checkpoint(checkpoint(1))
    newest_read = loaded(new_attempt).checkpoint
    assert newest_read is not None
    assert newest_read.number == 1


@pytest.mark.parametrize("events", [b'{"type": "result"}\n', b"\xff\x00\n" * 5000])
def test_a_transcript_is_compressed_to_the_same_bytes_each_time(saved: SavedRun, tmp_path: Path, events: bytes) -> None:
    path = tmp_path / saved.store.path(StateFile.TRANSCRIPT)
    saved.save_result(b"", [events], SPENDING, LOGGER)
    first = path.read_bytes()
    saved.save_result(b"", [events], SPENDING, LOGGER)
    assert gzip.decompress(first) == events
    assert path.read_bytes() == first
    assert first[4:8] == bytes(4)  # gzip's time stamp, which would change each second
    assert len(first) < 300


def test_a_result_without_a_change_has_no_bundle_path(saved: SavedRun) -> None:
    saved.save_result(b"bundle", [], SPENDING, LOGGER)
    assert saved.bundle_path == "claude-code-headless/the-run/change.bundle"
    saved.save_result(b"", [], SPENDING, LOGGER)
    assert saved.bundle_path == ""


def test_finished_work_can_be_pushed_though_the_store_does_not_answer(
    saved: SavedRun, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "claude-code-headless").write_text("a file where the folder should be")
    saved.save_result(b"bundle", [b"{}\n"], SPENDING, LOGGER)
    saved.save_finished(FINISHED, LOGGER)
    assert saved.finished == FINISHED
    assert saved.bundle_path == ""
    assert caplog.text.count("the run store could not read or write") == 2
