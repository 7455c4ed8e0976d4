"""The automations on a real server: lost runs are found and retried up to a limit, and people are notified."""

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


def states_of(run_id: str) -> list[str]:
    with get_client(sync_client=True) as client:
        return [state.name or "" for state in client.read_flow_run_states(UUID(run_id))]


def wait_for(run_id: str, name: str, seconds: float = SECONDS) -> list[str]:
    """Wait until a run is in a state; return all its states so far."""
    deadline = time.monotonic() + seconds
    while (states := states_of(run_id))[-1] != name:
        assert time.monotonic() < deadline, states
        time.sleep(0.2)
    return states


def create_run(world: World, **parameters: Any) -> str:  # noqa: ANN401 (the flow's parameters)
    """Create a run of implement/local; return its id."""
    all_parameters = {"repo_url": world.repo_url, "instructions": "Work", **parameters}
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("implement/local")
        return str(client.create_flow_run_from_deployment(deployment.id, parameters=all_parameters).id)


def set_states(run_id: str, *states: State[Any]) -> None:
    """Set the states of a run, as the process that executes it would."""
    with get_client(sync_client=True) as client:
        for state in states:
            client.set_flow_run_state(UUID(run_id), state, force=True)


@contextmanager
def serving(world: World) -> Iterator[Server]:
    """A machine that executes runs of implement/local."""
    world.stack.home.joinpath("tmp").mkdir(mode=0o711, exist_ok=True)
    with served({**os.environ, "TMPDIR": str(world.stack.home / "tmp")}) as server:
        yield server


def lose(server: Server) -> None:
    """Kill a machine at once: the serving process, the processes of its runs, and their agents."""
    root = psutil.Process(server.process.pid)
    root.suspend()
    for action in (psutil.Process.suspend, psutil.Process.kill):
        for process in root.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                action(process)
    root.kill()
    server.process.wait()


@pytest.mark.timeout(300)
def test_a_run_whose_machine_is_lost_is_found_and_retried_and_completes(world: World, webhook: Receiver) -> None:
    turns = [Turn(f"Step {n}.", (Tool("Bash", {"command": f"echo {n} > step-{n}"}),), seconds=1) for n in range(1, 6)]
    world.script(*turns, Turn("Done."))
    with serving(world) as first:
        run_id = create_run(world, branch_name="new", limits={"checkpoint_seconds": 1})
        wait_for(run_id, "Running")
        while len(world.stack.model.requests) < 4:
            time.sleep(0.1)
        lose(first)
    assert states_of(run_id)[-1] == "Running"
    lost_at = time.monotonic()
    wait_for(run_id, "AwaitingRetry", 35 + SECONDS)
    seconds_until_found = time.monotonic() - lost_at
    with serving(world):
        states = wait_for(run_id, "Completed")
    assert 25 < seconds_until_found < 35 + 30
    assert [name for name in states if name in {"Running", "Crashed", "AwaitingRetry", "Completed"}] == [
        "Running", "Crashed", "AwaitingRetry", "Running", "Completed",
    ]  # fmt: skip
    assert [world.content("new", f"step-{n}") for n in range(1, 6)] == list("12345")
    notification = webhook.wait_for("prefect.flow-run.Crashed", run_id)
    assert "crashed\nExecution 1: This run sends no more heartbeats" in notification["text"]
    assert webhook.wait_for("claude-code.run.delivered", run_id)["payload"]["branch"] == "new"


def test_a_run_that_crashes_is_retried_up_to_the_limit(world: World, webhook: Receiver) -> None:
    with serving(world) as server:
        lose(server)
    run_id = create_run(world)
    for _ in range(2):
        set_states(run_id, Pending(), Running(), Crashed(message="killed"))
        wait_for(run_id, "AwaitingRetry")
    set_states(run_id, Pending(), Running(), Crashed(message="killed"))
    webhook.wait_for("prefect.flow-run.Crashed", run_id)
    time.sleep(5)
    assert states_of(run_id)[-1] == "Crashed"
    assert states_of(run_id).count("AwaitingRetry") == 2


def test_a_run_that_crashes_before_it_starts_is_not_retried(world: World, webhook: Receiver) -> None:
    run_id = create_run(world)
    set_states(run_id, Pending(), Crashed(message="no room"))
    assert "Execution 0: no room" in webhook.wait_for("prefect.flow-run.Crashed", run_id)["text"]
    set_states(run_id, Pending(), Running(), Crashed(message="killed"))
    wait_for(run_id, "AwaitingRetry")
    set_states(run_id, Pending(), Crashed(message="no room"))
    time.sleep(5)
    assert states_of(run_id)[-1] == "Crashed"


def test_a_run_that_ended_or_is_handed_back_is_not_considered_lost(world: World, webhook: Receiver) -> None:
    from prefect.events import emit_event  # noqa: PLC0415

    waiting = State[Any](type=StateType.SCHEDULED, name="AwaitingRetry")
    run_ids = [create_run(world), create_run(world)]
    for run_id, state in zip(run_ids, (waiting, State[Any](type=StateType.CANCELLING)), strict=True):
        set_states(run_id, Pending(), Running())
        with get_client(sync_client=True) as client:
            flow_id = client.read_flow_run(UUID(run_id)).flow_id
        flow = {"prefect.resource.id": f"prefect.flow.{flow_id}", "prefect.resource.role": "flow"}
        emit_event(
            "prefect.flow-run.heartbeat",
            {"prefect.resource.id": f"prefect.flow-run.{run_id}"},
            related=[{**flow, "prefect.resource.name": "implement"}],
        )
        flush()
        time.sleep(5)  # so that even a busy server handles the heartbeat first
        set_states(run_id, state)
    time.sleep(45)
    assert [states_of(run_id)[-1] for run_id in run_ids] == ["AwaitingRetry", "Cancelling"]
    assert webhook.requests == []
    set_states(run_ids[0], Crashed())


def test_a_failure_and_a_run_without_changes_send_notifications(
    world: World, run: Callable[..., Run], webhook: Receiver
) -> None:
    world.script(Turn('There is nothing to do: "all" is <well>.'))
    run_without_changes = run()
    refused_run = run(branch_name="not a branch")
    flush()
    notification = webhook.wait_for("claude-code.run.no-changes", run_without_changes.id)
    assert notification["payload"]["summary"] == 'There is nothing to do: "all" is <well>.'
    assert "Nothing to change" in notification["text"]
    notification = webhook.wait_for("claude-code.run.failed", refused_run.id)
    assert "failed: InvalidBranchName\n" in notification["text"]
    assert notification["payload"]["url"] in notification["text"]
