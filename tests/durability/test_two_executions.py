"""Two attempts of one flow run at once: the later one does the work, the earlier one notices and stops."""

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
    with scene(world, tmp_path / "store") as new_scene:
        yield new_scene


def wait_for_turn(the_run: Scene, machine: Machine, number: int) -> None:
    wait(machine, lambda: the_run.requested_turns == number)
    the_run.world.stack.model.script = Script(steps())


def check(the_run: Scene, *machines: Machine) -> None:
    logs = "\n\n".join(machine.log() for machine in machines)
    assert [machine.process.returncode for machine in machines] == [0] * len(machines), logs
    assert the_run.run.state == "Completed", logs
    assert the_run.is_delivered(), logs
    assert the_run.reports() == ["Pushed 11 files"], logs
    assert not the_run.left_behind()


def test_the_earlier_attempt_stops_while_the_later_one_works(the_run: Scene) -> None:
    the_run.world.stack.model.script = Script(steps(slow=5))
    with the_run.machine() as first:
        wait_for_turn(the_run, first, 5)
        the_run.world.stack.model.script = Script(steps(seconds=1))
        with the_run.machine() as second:
            first.wait_for_exit()
            assert TAKEN_OVER in first.log()
            assert second.process.poll() is None, second.log()
            assert the_run.run.state == "Running"
            second.wait_for_exit()
            check(the_run, first, second)


def test_an_attempt_that_wakes_up_after_the_other_has_finished_changes_nothing(the_run: Scene) -> None:
    the_run.world.stack.model.script = Script(steps(slow=5, slow_seconds=20))
    with the_run.machine() as first:
        wait_for_turn(the_run, first, 5)
        first.freeze()
        with the_run.machine() as second:
            second.wait_for_exit()
            saved_files = {path.name: path.read_bytes() for path in the_run.saved_file("").iterdir() if path.is_file()}
            first.thaw()
            first.wait_for_exit()
            assert TAKEN_OVER in first.log()
            check(the_run, first, second)
    assert saved_files == {path.name: path.read_bytes() for path in the_run.saved_file("").iterdir() if path.is_file()}


def test_an_attempt_that_was_about_to_push_leaves_it_to_the_other(the_run: Scene) -> None:
    silent = the_run.git.cut("stall", b"service=git-receive-pack", direction="request")
    with the_run.machine() as first:
        wait(first, silent.happened.is_set)
        with the_run.machine() as second:
            second.wait_for_exit()
            the_run.git.break_off()
            first.wait_for_exit()
            assert TAKEN_OVER in first.log()
            check(the_run, first, second)


def test_two_attempts_that_start_together_deliver_once(the_run: Scene) -> None:
    with the_run.machine() as first, the_run.machine() as second:
        first.wait_for_exit()
        second.wait_for_exit()
        check(the_run, first, second)
