"""A run that is told to stop saves its work quickly, and is either handed back or marked as cancelled."""

import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import UUID

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from prefect.states import Cancelling

from deployments.local.scripted_model import Script
from flows.deliver import deliver
from tests.durability.machines import Machine
from tests.durability.points import NEXT_REQUEST_SECONDS, in_clone, wait
from tests.durability.scene import BRANCH, TURNS, Scene, scene, steps
from tests.support.marks import needs_root
from tests.support.world import World

HANDED_BACK_SECONDS: Final = 20
CANCELLED_SECONDS: Final = 10
RESCHEDULE: Final = {"PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR": "reschedule"}
PID_1: Final = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


@pytest.fixture
def the_run(world: World, tmp_path: Path) -> Iterator[Scene]:
    # The interval is so long that only the interruption writes a checkpoint.
    with scene(world, tmp_path / "store", limits={"checkpoint_seconds": 600}) as new_scene:
        yield new_scene


def execute(the_run: Scene) -> tuple[str, ...]:
    """The command that ECS runs."""
    return ("-m", "flows.runtime.execute", the_run.run.id)


@contextmanager
def at_turn(the_run: Scene, number: int, prefix: tuple[str, ...] = ()) -> Iterator[Machine]:
    """A machine with the command and settings of ECS, in the middle of a turn."""
    the_run.world.stack.model.script = Script(steps(slow=number))
    with the_run.machine(execute(the_run), RESCHEDULE, prefix) as machine:
        wait(machine, lambda: the_run.requested_turns == number)
        time.sleep(NEXT_REQUEST_SECONDS)
        the_run.world.stack.model.script = Script(steps())
        yield machine


@pytest.mark.parametrize(
    "prefix", [pytest.param((), id="as-any-process"), pytest.param(PID_1, id="as-pid-1", marks=needs_root)]
)
def test_an_interrupted_run_is_handed_back_and_resumed_elsewhere(the_run: Scene, prefix: tuple[str, ...]) -> None:
    with at_turn(the_run, 7, prefix) as first:
        assert first.interrupt() < HANDED_BACK_SECONDS
        assert first.process.returncode == 0, first.log()
        assert the_run.run.state == "AwaitingRetry", first.log()
        assert not the_run.left_behind()
        first.lose()
    checkpoint = the_run.saved_run().checkpoint
    assert checkpoint
    assert checkpoint.spending["replies"] == 6
    assert the_run.reports() == ["Interrupted"]
    with the_run.machine() as second:
        assert second.wait_for_exit() == 0, second.log()
    assert the_run.run.state == "Completed"
    assert the_run.is_delivered()
    assert the_run.reports() == ["Pushed 11 files", "Interrupted"]
    assert the_run.requested_turns <= TURNS + 1


def test_a_run_that_is_interrupted_while_a_server_is_silent_is_handed_back_too(the_run: Scene) -> None:
    silent = in_clone(the_run)
    with the_run.machine(execute(the_run), RESCHEDULE) as first:
        wait(first, silent.happened.is_set)
        assert first.interrupt() < HANDED_BACK_SECONDS
        assert the_run.run.state == "AwaitingRetry", first.log()
        assert not the_run.left_behind()
        first.lose()
    with the_run.machine() as second:
        assert second.wait_for_exit() == 0, second.log()
    assert the_run.is_delivered()


def test_a_run_that_is_interrupted_while_its_store_is_away_is_handed_back_too(the_run: Scene) -> None:
    with at_turn(the_run, 7) as first:
        (the_run.store / "claude-code-headless").rename(the_run.store / "away")
        (the_run.store / "claude-code-headless").write_text("no directory\n")
        assert first.interrupt() < HANDED_BACK_SECONDS
        assert the_run.run.state == "AwaitingRetry", first.log()
        assert not the_run.left_behind()


def cancel(the_run: Scene) -> None:
    """Cancel the run as Prefect's UI and `prefect flow-run cancel` do."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(the_run.run.id), Cancelling())


def test_a_cancelled_run_ends_soon_and_saves_its_work(the_run: Scene) -> None:
    with at_turn(the_run, 7) as machine:
        started = time.monotonic()
        cancel(the_run)
        while agent_processes(machine):
            assert time.monotonic() - started < CANCELLED_SECONDS, machine.log()
            time.sleep(0.05)
        machine.wait_for_exit()
        assert the_run.run.state == "Cancelled", machine.log()
        assert not the_run.left_behind()
    assert BRANCH not in the_run.world.branches()
    assert the_run.saved_file("change.bundle").exists()
    assert the_run.reports() == ["Interrupted"]
    checkpoint = the_run.saved_run().checkpoint
    assert checkpoint
    assert checkpoint.spending["replies"] == 6


def agent_processes(machine: Machine) -> list[str]:
    """Return the processes of the machine's agents."""
    machine.record_agent_uids()
    return [str(process) for process in machine.processes() if process.uids().real in machine.agent_uids]


def test_a_run_cancelled_during_the_push_leaves_a_complete_branch_or_none(the_run: Scene) -> None:
    silent = the_run.git.cut("stall", b"/git-receive-pack HTTP", after_bytes=400, direction="request")
    with the_run.machine(execute(the_run), RESCHEDULE) as machine:
        wait(machine, silent.happened.is_set)
        started = time.monotonic()
        cancel(the_run)
        machine.wait_for_exit()
        assert time.monotonic() - started < HANDED_BACK_SECONDS, machine.log()
        assert the_run.run.state == "Cancelled", machine.log()
        assert not the_run.left_behind()
    assert BRANCH not in the_run.world.branches() or the_run.is_delivered()


def test_a_run_whose_engine_dies_is_reported_as_crashed(the_run: Scene) -> None:
    with at_turn(the_run, 3) as machine:
        [engine] = psutil.Process(machine.process.pid).children()
        engine.kill()
        machine.wait_for_exit()
        assert the_run.run.state == "Crashed", machine.log()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_container_says_what_is_saved_and_how_to_continue(the_run: Scene, number: int, status: int) -> None:
    the_run.world.stack.model.script = Script(steps(slow=7))
    variables = {
        "PROCESS_REQUIREMENTS": "true",
        "REPO_URL": the_run.world.repo_url,
        "INSTRUCTIONS": "Take the steps",
        "BRANCH_NAME": BRANCH,
    }
    with the_run.machine(("-m", "flows"), variables) as container:
        wait(container, lambda: the_run.requested_turns == 7)
        # docker stop waits for ten seconds.
        assert container.interrupt(number) < CANCELLED_SECONDS
        lines = container.log().strip().splitlines()
        assert container.process.returncode == status, container.log()
        assert not the_run.left_behind()
    assert lines[-1].startswith("interrupted: ")
    assert len(list(the_run.store.glob("claude-code-headless/*/report.md"))) == 1
    match = re.search(r"in (\S+): .*flow_run_id=([0-9a-f-]{36})", lines[-1])
    assert match
    the_run.world.git("fetch", "--quiet", f"{match[1]}/change.bundle", f"{BRANCH}:kept")
    assert the_run.world.content("kept", "step-6") == "6"
    assert BRANCH not in the_run.world.branches()
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: the_run.store}):
        state = deliver(flow_run_id=match[2], return_state=True)
    assert state.is_completed()
    assert the_run.world.content(BRANCH, "step-6") == "6"
