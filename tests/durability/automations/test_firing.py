"""The automations at work on a real server: lost runs are found and run again, so often, and people are told."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.states import Crashed, Pending, Running

from deployments.local.scripted_model import Tool, Turn
from deployments.local.served import Server, served
from tests.support.prefect_workers import flush
from tests.support.receiver import Receiver
from tests.support.runs import Run
from tests.support.world import World

SECONDS = 60


def states(run_id: str) -> list[str]:
    with get_client(sync_client=True) as client:
        return [state.name or "" for state in client.read_flow_run_states(UUID(run_id))]


def wait_for(run_id: str, name: str, seconds: float = SECONDS) -> list[str]:
    """Wait until a run is in a state; return the states until then."""
    deadline = time.monotonic() + seconds
    while (seen := states(run_id))[-1] != name:
        assert time.monotonic() < deadline, seen
        time.sleep(0.2)
    return seen


def ask(world: World, **parameters: Any) -> str:  # noqa: ANN401 (the flow's own)
    """Make a run of implement/local."""
    given = {"repo_url": world.repo_url, "instructions": "Work", **parameters}
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("implement/local")
        return str(client.create_flow_run_from_deployment(deployment.id, parameters=given).id)


def put(run_id: str, *wanted: State[Any]) -> None:
    """Have a run go through states, as whoever executes it would."""
    with get_client(sync_client=True) as client:
        for state in wanted:
            client.set_flow_run_state(UUID(run_id), state, force=True)


@contextmanager
def serving(world: World) -> Iterator[Server]:
    """A machine that executes runs of implement/local."""
    world.stack.home.joinpath("tmp").mkdir(mode=0o711, exist_ok=True)
    with served({**os.environ, "TMPDIR": str(world.stack.home / "tmp")}) as server:
        yield server


def lose(server: Server) -> None:
    """Kill a machine: what serves, what executes, and its agents, with no time for a word."""
    root = psutil.Process(server.process.pid)
    root.suspend()
    for act in (psutil.Process.suspend, psutil.Process.kill):
        for process in root.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                act(process)
    root.kill()
    server.process.wait()


@pytest.mark.timeout(300)
def test_a_run_whose_machine_is_lost_is_found_run_again_and_completes(world: World, installed: Receiver) -> None:
    steps = [Turn(f"Step {n}.", (Tool("Bash", {"command": f"echo {n} > step-{n}"}),), seconds=1) for n in range(1, 6)]
    world.script(*steps, Turn("Done."))
    with serving(world) as first:
        run_id = ask(world, branch_name="new", limits={"checkpoint_seconds": 1})
        wait_for(run_id, "Running")
        while len(world.stack.model.asked) < 4:
            time.sleep(0.1)
        lose(first)
    assert states(run_id)[-1] == "Running"
    lost_at = time.monotonic()
    wait_for(run_id, "AwaitingRetry", 35 + SECONDS)
    found_after = time.monotonic() - lost_at
    with serving(world):
        seen = wait_for(run_id, "Completed")
    assert 25 < found_after < 35 + 30
    assert [name for name in seen if name in {"Running", "Crashed", "AwaitingRetry", "Completed"}] == [
        "Running", "Crashed", "AwaitingRetry", "Running", "Completed",
    ]  # fmt: skip
    assert [world.content("new", f"step-{n}") for n in range(1, 6)] == list("12345")
    told = installed.wait_for("prefect.flow-run.Crashed", run_id)
    assert "crashed\nExecution 1: Nothing was heard of this run any more" in told["text"]
    assert installed.wait_for("claude-code.run.delivered", run_id)["payload"]["branch"] == "new"


def test_a_run_that_crashes_is_run_again_so_often_and_no_more(world: World, installed: Receiver) -> None:
    with serving(world) as server:
        lose(server)
    run_id = ask(world)
    for _ in range(2):
        put(run_id, Pending(), Running(), Crashed(message="killed"))
        wait_for(run_id, "AwaitingRetry")
    put(run_id, Pending(), Running(), Crashed(message="killed"))
    installed.wait_for("prefect.flow-run.Crashed", run_id)
    time.sleep(5)
    assert states(run_id)[-1] == "Crashed"
    assert states(run_id).count("AwaitingRetry") == 2


def test_a_run_that_crashes_before_it_starts_is_not_run_again(world: World, installed: Receiver) -> None:
    run_id = ask(world)
    put(run_id, Pending(), Crashed(message="no room"))
    assert "Execution 0: no room" in installed.wait_for("prefect.flow-run.Crashed", run_id)["text"]
    put(run_id, Pending(), Running(), Crashed(message="killed"))
    wait_for(run_id, "AwaitingRetry")
    put(run_id, Pending(), Crashed(message="no room"))
    time.sleep(5)
    assert states(run_id)[-1] == "Crashed"


def test_a_run_that_ended_or_is_handed_back_is_not_taken_for_lost(world: World, installed: Receiver) -> None:
    from prefect.events import emit_event  # noqa: PLC0415

    waiting = State[Any](type=StateType.SCHEDULED, name="AwaitingRetry")
    run_ids = [ask(world), ask(world)]
    for run_id, state in zip(run_ids, (waiting, State[Any](type=StateType.CANCELLING)), strict=True):
        put(run_id, Pending(), Running())
        with get_client(sync_client=True) as client:
            flow_id = client.read_flow_run(UUID(run_id)).flow_id
        flow = {"prefect.resource.id": f"prefect.flow.{flow_id}", "prefect.resource.role": "flow"}
        emit_event(
            "prefect.flow-run.heartbeat",
            {"prefect.resource.id": f"prefect.flow-run.{run_id}"},
            related=[{**flow, "prefect.resource.name": "implement"}],
        )
        flush()
        time.sleep(5)  # a busy server hears of the heartbeat first all the same
        put(run_id, state)
    time.sleep(45)
    assert [states(run_id)[-1] for run_id in run_ids] == ["AwaitingRetry", "Cancelling"]
    assert installed.asked == []
    put(run_ids[0], Crashed())


def test_a_failure_and_nothing_to_change_are_told(world: World, run: Callable[..., Run], installed: Receiver) -> None:
    world.script(Turn('There is nothing to do: "all" is <well>.'))
    nothing = run()
    refused = run(branch_name="not a branch")
    flush()
    told = installed.wait_for("claude-code.run.no-changes", nothing.id)
    assert told["payload"]["summary"] == 'There is nothing to do: "all" is <well>.'
    assert "Nothing to change" in told["text"]
    told = installed.wait_for("claude-code.run.failed", refused.id)
    assert "failed: InvalidBranchName\n" in told["text"]
    assert told["payload"]["url"] in told["text"]
