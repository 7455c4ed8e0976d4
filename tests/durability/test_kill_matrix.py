"""The kill matrix: a machine is lost at a certain point or at a random time, and the next one finishes the run."""

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployments.local.scripted_model import Script
from flows.state.records import Checkpoint
from tests.durability.points import POINTS, Point, during_turn, machine_at, wait
from tests.durability.scene import TURNS, Scene, scene, steps, table_row
from tests.support.world import World

RANDOM_KILLS = int(os.environ.get("RANDOM_KILLS", "4"))
"""Each run of the suite has another seed, so a few kills at a time cover more and more points."""

Record = Callable[[str, object], None]


@pytest.fixture
def the_run(world: World, tmp_path: Path) -> Iterator[Scene]:
    with scene(world, tmp_path / "store") as new_scene:
        yield new_scene


def turns_in(checkpoint: Checkpoint) -> int:
    """Return how many replies of the model are in the saved conversation, which may lack the newest one."""
    lines = [json.loads(line) for line in checkpoint.session.splitlines()]
    turns = len({line["message"]["id"] for line in lines if line["type"] == "assistant"})
    assert turns >= checkpoint.spending["replies"] - 1
    return turns


def resume(lost: Scene, point: str, record: Record, losses: int = 1) -> None:
    """Resume the run on another machine, and check the result."""
    turns_before, saved_run = lost.requested_turns, lost.saved_run()
    saved_turns = turns_in(saved_run.checkpoint) if saved_run.checkpoint else 0
    started = time.monotonic()
    with lost.machine() as second:
        status = second.wait_for_exit()
        seconds, log = time.monotonic() - started, second.log()
        leftovers = lost.left_behind()
    state, repeated_turns = lost.run.state, max(0, lost.requested_turns - TURNS)
    duplicates = max(0, len(lost.commits()) - 1)
    record(
        "durability", table_row(point=point, state=state, duplicates=duplicates, again=repeated_turns, seconds=seconds)
    )
    assert (status, state) == (0, "Completed"), log
    assert lost.is_delivered(), log
    assert repeated_turns <= losses + turns_before - saved_turns, (
        f"{turns_before} turns were requested before, {saved_turns} of them are in the checkpoint:\n{log}"
    )
    if saved_run.finished:
        assert lost.requested_turns == turns_before, log
    assert not leftovers


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name.replace(" ", "-"))
def test_a_run_whose_machine_is_lost_at_a_point_is_resumed(
    the_run: Scene, point: Point, record_property: Record
) -> None:
    with machine_at(the_run, point) as first:
        first.lose()
    resume(the_run, point.name, record_property)


@pytest.fixture(scope="module")
def whole_run_seconds() -> dict[str, float]:
    """How long a run takes on this host; empty until one has been measured."""
    return {}


def measure(world: World, store: Path) -> float:
    started = time.monotonic()
    with scene(world, store) as whole, whole.machine() as machine:
        assert machine.wait_for_exit() == 0, machine.log()
        assert whole.is_delivered()
    # The time includes the start and the end of the process: some kills come before any work, or after all of it.
    return time.monotonic() - started


@pytest.mark.parametrize("number", range(RANDOM_KILLS))
def test_a_run_whose_machine_is_lost_at_any_time_is_resumed(
    number: int,
    make_world: Callable[[dict[str, str]], World],
    tmp_path: Path,
    whole_run_seconds: dict[str, float],
    record_property: Record,
) -> None:
    if not whole_run_seconds:
        whole_run_seconds["measured"] = measure(make_world({"README.md": "# A repository\n"}), tmp_path / "measured")
    share = random.Random(f"{os.environ['DURABILITY_SEED']} {number}").random()  # noqa: S311 (not a secret)
    with scene(make_world({"README.md": "# A repository\n"}), tmp_path / "store") as lost:
        with lost.machine() as first:
            time.sleep(share * whole_run_seconds["measured"])
            first.lose()
        resume(lost, "at a random time", record_property)


def test_a_run_may_lose_several_machines_in_succession(the_run: Scene, record_property: Record) -> None:
    for turn in (4, 7, 10):
        with machine_at(the_run, Point("", during_turn(turn, again=True))) as machine:
            machine.lose()
    resume(the_run, "in turns 4, 7 and 10", record_property, losses=3)


def test_an_agent_does_not_outlive_its_flow_when_only_the_flow_is_killed(the_run: Scene) -> None:
    the_run.world.stack.model.script = Script(steps(slow=5))
    with the_run.machine() as machine:
        wait(machine, lambda: the_run.requested_turns == 5)
        assert "claude" in {process.name() for process in machine.processes()}
        machine.process.kill()
        deadline = time.monotonic() + 10
        while "claude" in {process.name() for process in machine.processes()}:
            assert time.monotonic() < deadline
            time.sleep(0.1)
