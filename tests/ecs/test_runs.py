"""From Prefect's form to the container and back: the real worker's task, run in the real image on the local stack."""

import time
from datetime import UTC, datetime

import pytest

from tests.ecs.fargate import stopped_event
from tests.ecs.team import Team, first_task_start, prefect, state, states, wait_for
from tests.support.container_engine import Container
from tests.support.world import World

pytestmark = [pytest.mark.image, pytest.mark.timeout(300)]


def wait_for_agent(world: World, container: Container) -> None:
    """Wait until the agent has the model's reply and works on it."""
    wait_for(lambda: world.stack.model.requests, 90, container.logs)
    time.sleep(1)


def test_a_run_completes_in_its_task(team: Team, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = team.run(world, branch_name="by-the-team")
    submitted = team.submitted(run_id)
    started_at = datetime.now(UTC)
    with team.on_fargate(world, submitted) as container:
        status, output = container.wait_for_exit()
    assert status == 0, output
    assert state(run_id) == "Completed", output
    assert world.content("by-the-team", "hello.txt") == "hello"
    assert {"plan", "instructions-0", "change", "report.md", "usage.json"} <= team.saved_files(run_id)
    seconds_to_first_task = (first_task_start(run_id) - started_at).total_seconds()
    with capsys.disabled():
        print(f"\nfrom the task's command to the first Prefect task: {seconds_to_first_task:.1f} s")
    assert 0 < seconds_to_first_task < 60


def test_a_task_that_was_killed_marks_its_run_as_crashed(team: Team, world: World) -> None:
    world.shell("sleep 300")
    run_id = team.run(world)
    submitted = team.submitted(run_id)
    with team.on_fargate(world, submitted) as container:
        wait_for_agent(world, container)
        assert state(run_id) == "Running"
        container.engine.call("kill", "--signal=KILL", container.name)
        status, _ = container.wait_for_exit()
    assert status == 137
    assert state(run_id) == "Running"
    team.cloud.client("events").put_events(Entries=[stopped_event(submitted, status)])
    team.until(run_id, "Crashed")


def test_a_run_cancelled_before_it_starts_ends_its_task_at_the_start(team: Team, world: World) -> None:
    run_id = team.run(world)
    submitted = team.submitted(run_id)
    prefect("flow-run", "cancel", run_id)
    with team.on_fargate(world, submitted) as container:
        status, output = container.wait_for_exit()
    assert status == 0, output
    assert state(run_id) == "Cancelled"
    assert not world.stack.model.requests


def test_the_worker_stops_the_task_of_a_cancelled_run_that_does_not_end_itself(team: Team, world: World) -> None:
    run_id = team.run(world)
    task = {"cluster": team.cloud.project, "task": team.submitted(run_id).task["taskArn"]}
    prefect("flow-run", "cancel", run_id)
    [stopped] = wait_for(lambda: team.aws.received("StopTask"), 150, team.worker.logs)
    assert stopped.request == {**task, "reason": "Stopped by Prefect worker"}
    assert stopped.response["task"]["desiredStatus"] == "STOPPED"
    assert state(run_id) == "Cancelled"


def test_a_run_cancelled_while_it_works_ends_its_task_itself(team: Team, world: World) -> None:
    world.shell("sleep 300")
    run_id = team.run(world, branch_name="cancelled")
    with team.on_fargate(world, team.submitted(run_id)) as container:
        wait_for_agent(world, container)
        cancelled_at = time.monotonic()
        prefect("flow-run", "cancel", run_id)
        container.wait_for_exit()
        assert time.monotonic() - cancelled_at < 60
    assert state(run_id) == "Cancelled"
    assert "cancelled" not in world.branches()


def test_an_interrupted_run_is_handed_back_and_completed_by_another_task(team: Team, world: World) -> None:
    world.shell("sleep 300")
    run_id = team.run(world, branch_name="at-the-second-go")
    submitted = team.submitted(run_id)
    with team.on_fargate(world, submitted) as container:
        wait_for_agent(world, container)
        stopped_at = time.monotonic()
        container.stop(grace_seconds=submitted.container["stopTimeout"])
        assert time.monotonic() - stopped_at < 20
        status, output = container.wait_for_exit()
    assert status == 0, output
    assert "AwaitingRetry" in states(run_id)
    world.script()
    with team.on_fargate(world, team.submitted(run_id, attempt=2)) as container:
        status, output = container.wait_for_exit()
    assert status == 0, output
    assert state(run_id) == "Completed", output
    assert world.content("at-the-second-go", "hello.txt") == "hello"
