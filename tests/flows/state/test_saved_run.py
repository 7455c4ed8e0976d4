"""What a later machine reads back is what was kept, and of two checkpoints the newer one that is whole."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from prefect.filesystems import LocalFileSystem

from flows.agent.outcome import AgentReport
from flows.instructions.files import InstructionFile, Instructions
from flows.repository.clone import Checkout
from flows.state.records import Checkpoint, Finished, Keepings, Plan, keep_checkpoint, keep_finished, keep_plan
from flows.state.store import RunStore

FILES = (InstructionFile("main.md", 4, "etag", "v1"), InstructionFile("a/ü.bin", 2))
PLAN = Plan(
    "https://example.com/a/b",
    Checkout("new", "main", "0" * 40, "Be brief."),
    Instructions("s3://b/*", FILES, "main.md", "Work"),
    datetime(2026, 11, 23, 12, tzinfo=UTC),
    ("0" * 64, "1" * 64),
)
SPENT = {"spent_usd": 0.5, "replies": 3, "tokens": {"input_tokens": 7}, "is_exact": True}
REPORT = AgentReport("Done.", 4, 0.5, 1.5, "the-session", {"model": {}}, ("Bash",))


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(LocalFileSystem(basepath=str(tmp_path)), "the-run", ())


def checkpoint(number: int) -> Checkpoint:
    return Checkpoint(number, "1" * 40, SPENT, "the-session", b"bundle %d" % number, b"{}\n")


def test_nothing_kept_is_nothing(store: RunStore) -> None:
    assert Keepings.load(store) == Keepings()


def test_all_that_is_kept_comes_back(store: RunStore) -> None:
    keep_plan(store, PLAN)
    keep_checkpoint(store, checkpoint(0))
    keep_finished(store, Finished("2" * 40, REPORT, b"bundle"))
    assert Keepings.load(store) == Keepings(PLAN, checkpoint(0), Finished("2" * 40, REPORT, b"bundle"))


def test_without_a_plan_the_rest_has_no_ground(store: RunStore) -> None:
    keep_checkpoint(store, checkpoint(0))
    assert Keepings.load(store) == Keepings()


@pytest.mark.parametrize("torn", [0, 1, 2, 3])
def test_of_the_checkpoints_the_newest_whole_one_counts(store: RunStore, tmp_path: Path, torn: int) -> None:
    keep_plan(store, PLAN)
    for number in range(4):
        keep_checkpoint(store, checkpoint(number))
    newest = tmp_path / store.path("checkpoint-1")
    newest.write_bytes(newest.read_bytes()[: torn * 50])
    found = Keepings.load(store).checkpoint
    assert found is not None
    assert found.number == 2
