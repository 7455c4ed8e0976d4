"""The kill matrix: a machine is lost at a point, or at any time, and the next one finishes the run."""

import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployments.local.scripted_model import Script
from tests.durability.points import POINTS, Point, held, held_in_turn, wait
from tests.durability.scene import TURNS, Scene, described, scene, steps
from tests.support.world import World

RANDOM_KILLS = 30
Record = Callable[[str, object], None]


@pytest.fixture
def the_run(world: World, tmp_path: Path) -> Iterator[Scene]:
    with scene(world, tmp_path / "store") as made:
        yield made


def go_on(lost: Scene, point: str, record: Record, losses: int = 1) -> None:
    """Have another machine go on with a run whose machines were lost, and check what becomes of it."""
    asked, found = lost.turns_asked, lost.saved_run()
    done = int(found.checkpoint.spending["replies"]) if found.checkpoint else 0
    started = time.monotonic()
    with lost.machine() as second:
        status = second.end()
        seconds, said = time.monotonic() - started, second.log()
        left = lost.left_behind()
    state, again = lost.run.state, max(0, lost.turns_asked - TURNS)
    duplicates = max(0, len(lost.commits()) - 1)
    record("durability", described(point=point, state=state, duplicates=duplicates, again=again, seconds=seconds))
    assert (status, state) == (0, "Completed"), said
    assert lost.is_delivered(), said
    assert again <= losses + asked - done, f"{asked} asked for by then, {done} of them in the checkpoint:\n{said}"
    if found.finished:
        assert lost.turns_asked == asked, said
    assert not left


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name.replace(" ", "-"))
def test_a_run_whose_machine_is_lost_at_a_point_goes_on(the_run: Scene, point: Point, record_property: Record) -> None:
    with held(the_run, point) as first:
        first.lose()
    go_on(the_run, point.name, record_property)


@pytest.fixture(scope="module")
def whole_run_seconds() -> dict[str, float]:
    """How long a run takes here, once one has been measured."""
    return {}


def measured(world: World, store: Path) -> float:
    started = time.monotonic()
    with scene(world, store) as whole, whole.machine() as machine:
        assert machine.end() == 0, machine.log()
        assert whole.is_delivered()
    # Without what a machine does before its first line, in which there is nothing to lose, and after its last.
    return time.monotonic() - started


@pytest.mark.parametrize("number", range(RANDOM_KILLS))
def test_a_run_whose_machine_is_lost_at_any_time_goes_on(
    number: int,
    make_world: Callable[[dict[str, str]], World],
    tmp_path: Path,
    whole_run_seconds: dict[str, float],
    record_property: Record,
) -> None:
    if not whole_run_seconds:
        whole_run_seconds["is"] = measured(make_world({"README.md": "# A repository\n"}), tmp_path / "measured")
    share = random.Random(f"{os.environ['DURABILITY_SEED']} {number}").random()  # noqa: S311 (nothing is to be kept secret)
    with scene(make_world({"README.md": "# A repository\n"}), tmp_path / "store") as lost:
        with lost.machine() as first:
            time.sleep(share * whole_run_seconds["is"])
            first.lose()
        go_on(lost, "at a random time", record_property)


def test_a_run_may_lose_one_machine_after_the_other(the_run: Scene, record_property: Record) -> None:
    for turn in (4, 7, 10):
        with held(the_run, Point("", held_in_turn(turn, again=True))) as machine:
            machine.lose()
    go_on(the_run, "in turns 4, 7 and 10", record_property, losses=3)


def test_an_agent_does_not_outlive_a_flow_that_is_killed_alone(the_run: Scene) -> None:
    the_run.world.stack.model.script = Script(steps(slow=5))
    with the_run.machine() as machine:
        wait(machine, lambda: the_run.turns_asked == 5)
        assert "claude" in {process.name() for process in machine.processes()}
        machine.process.kill()
        deadline = time.monotonic() + 10
        while "claude" in {process.name() for process in machine.processes()}:
            assert time.monotonic() < deadline
            time.sleep(0.1)
