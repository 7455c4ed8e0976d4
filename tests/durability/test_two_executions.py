"""Two executions of one flow run at once: the later one does the work, the other finds that out and says no more."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.local.scripted_model import Script
from tests.durability.machines import Machine
from tests.durability.points import wait
from tests.durability.scene import Scene, scene, steps
from tests.support.world import World

TAKEN_OVER = "a later attempt of this run has taken over"


@pytest.fixture
def the_run(world: World, tmp_path: Path) -> Iterator[Scene]:
    with scene(world, tmp_path / "store") as made:
        yield made


def wait_for_turn(run: Scene, machine: Machine, number: int) -> None:
    wait(machine, lambda: run.turns_asked == number)
    run.world.stack.model.script = Script(steps())


def check(run: Scene, *ended: Machine) -> None:
    said = "\n\n".join(machine.log() for machine in ended)
    assert [machine.process.returncode for machine in ended] == [0] * len(ended), said
    assert run.run.state == "Completed", said
    assert run.is_delivered(), said
    assert run.reports() == ["Pushed 11 files"], said
    assert not run.left_behind()


def test_the_earlier_one_stops_while_the_later_one_works(the_run: Scene) -> None:
    the_run.world.stack.model.script = Script(steps(slow=5))
    with the_run.machine() as first:
        wait_for_turn(the_run, first, 5)
        the_run.world.stack.model.script = Script(steps(seconds=1))
        with the_run.machine() as second:
            first.end()
            assert TAKEN_OVER in first.log()
            assert second.process.poll() is None, second.log()
            assert the_run.run.state == "Running"
            second.end()
            check(the_run, first, second)


def test_one_that_wakes_up_when_the_other_is_done_changes_nothing(the_run: Scene) -> None:
    the_run.world.stack.model.script = Script(steps(slow=5, slow_seconds=20))
    with the_run.machine() as first:
        wait_for_turn(the_run, first, 5)
        first.freeze()
        with the_run.machine() as second:
            second.end()
            kept = {path.name: path.read_bytes() for path in the_run.saved_file("").iterdir() if path.is_file()}
            first.thaw()
            first.end()
            assert TAKEN_OVER in first.log()
            check(the_run, first, second)
    assert kept == {path.name: path.read_bytes() for path in the_run.saved_file("").iterdir() if path.is_file()}


def test_one_that_was_about_to_push_leaves_it_to_the_other(the_run: Scene) -> None:
    silent = the_run.git.cut("stall", b"service=git-receive-pack", of="request")
    with the_run.machine() as first:
        wait(first, silent.happened.is_set)
        with the_run.machine() as second:
            second.end()
            the_run.git.break_off()
            first.end()
            assert TAKEN_OVER in first.log()
            check(the_run, first, second)


def test_two_that_start_together_come_to_one_end(the_run: Scene) -> None:
    with the_run.machine() as first, the_run.machine() as second:
        first.end()
        second.end()
        check(the_run, first, second)
