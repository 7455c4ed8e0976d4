"""What a run takes along when it goes on: its session, its tree, its budget and its turns; and what that saves."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from prefect.filesystems import LocalFileSystem

from deployments.local.loopback import Asked
from deployments.local.scripted_model import Script
from flows.state.saved_run import SavedRun
from flows.state.store import RunStore
from tests.durability.points import Point, held, held_in_turn
from tests.durability.scene import TURNS, Scene, described, scene, steps
from tests.support.world import World

Record = Callable[[str, object], None]
BYTES_A_TOKEN = 4


@pytest.fixture
def the_run(world: World, tmp_path: Path) -> Iterator[Scene]:
    with scene(world, tmp_path / "store") as made:
        yield made


def lose_in_turn(run: Scene, number: int) -> None:
    with held(run, Point("", held_in_turn(number))) as machine:
        machine.lose()


def spoil(run: Scene, session: bytes) -> None:
    """Have the newest checkpoint hold another conversation."""
    found = run.saved_run().checkpoint
    assert found
    store = RunStore(LocalFileSystem(basepath=str(run.store)), run.run.id)
    SavedRun(store).save_checkpoint(replace(found, session=session))


@pytest.mark.parametrize("session", [b"", b"no conversation\n", b'{"type": "user"}\n'], ids=["none", "text", "half"])
def test_a_session_that_cannot_be_resumed_is_begun_anew_on_the_tree_and_told_so(the_run: Scene, session: bytes) -> None:
    lose_in_turn(the_run, 7)
    spoil(the_run, session)
    the_run.world.stack.model.asked.clear()
    with the_run.machine() as second:
        assert second.end() == 0, second.log()
        said = second.log()
    assert the_run.run.state == "Completed", said
    assert the_run.is_delivered(), said
    first = the_run.world.stack.model.asked[0].body.decode()
    assert "Take the steps" in first, "it knows what to do"
    assert "the conversation about it is lost" in first, "and that it was begun before"


def test_turns_count_over_all_executions(world: World, tmp_path: Path) -> None:
    limits = {"checkpoint_seconds": 1, "max_turns": 9}
    with scene(world, tmp_path / "store", limits=limits) as run:
        lose_in_turn(run, 7)
        with run.machine() as second:
            second.end()
            assert run.run.state == "Failed", second.log()
            assert "TurnLimitReached" in second.log()
        found = run.saved_run().checkpoint
        assert found
        # What came after the last checkpoint is not known to anybody.
        assert 9 <= found.spending["replies"] <= 10
        assert run.turns_asked <= 9 + 7


def test_money_counts_over_all_executions(world: World, tmp_path: Path) -> None:
    with scene(world, tmp_path / "store", limits={"checkpoint_seconds": 1}) as run:
        with run.machine() as whole:
            assert whole.end() == 0, whole.log()
        finished = run.saved_run().finished
        assert finished
        assert finished.report
        cost = finished.report.cost_usd
    limits = {"checkpoint_seconds": 1, "max_budget_usd": cost * 0.75}
    with scene(world, tmp_path / "store", limits=limits, branch_name="other") as run:
        lose_in_turn(run, 7)
        before = run.saved_run().checkpoint
        assert before
        with run.machine() as second:
            second.end()
            assert run.run.state == "Failed", second.log()
            assert "BudgetExceeded" in second.log()
        after = run.saved_run().checkpoint
        assert after
        assert before.spending["spent_usd"] < after.spending["spent_usd"] <= cost * 0.75 + cost / TURNS


def tokens(asked: list[Asked]) -> int:
    """What requests and replies come to, at four bytes a token of what is sent, and 150 for each reply."""
    return sum(len(request.body) // BYTES_A_TOKEN + 150 for request in asked if "invoke" in request.path)


def test_a_loss_at_80_percent_costs_little_beside_starting_over(
    make_world: Callable[[dict[str, str]], World], tmp_path: Path, record_property: Record
) -> None:
    spent = {}
    for way, store in (("goes on", "store"), ("starts over", "another")):
        with ExitStack() as entered:
            run = entered.enter_context(scene(make_world({"README.md": "# A repository\n"}), tmp_path / way / "store"))
            run.world.stack.model.script = Script(steps(seconds=1))
            with run.machine() as first:
                first.wait_for(lambda _, run=run: run.turns_asked == 10)  # type: ignore[misc]
                first.lose()
            asked = len(run.world.stack.model.asked)
            run.world.stack.model.script = Script(steps())
            run.store = tmp_path / way / store
            with run.machine() as second:
                assert second.end() == 0, second.log()
            assert run.is_delivered()
            all_asked = run.world.stack.model.asked
            spent[way] = (run.turns_asked - TURNS, tokens(all_asked), tokens(all_asked[asked:]))
    whole = spent["starts over"][2]  # what the run takes that is not lost
    for way, (turns, count, _) in spent.items():
        row = {"again": turns, "tokens": count - whole, "share": (count - whole) / whole}
        record_property("durability", described(comparison=f"a 12-turn run lost in turn 10 {way}", **row))
    assert spent["goes on"][0] <= 3
    assert spent["starts over"][0] == 10
    assert spent["goes on"][1] - whole < (spent["starts over"][1] - whole) / 2
