"""From Prefect's form to the container and back: the real worker's task, run in the real image, on the local stack."""

import time
from datetime import UTC, datetime

import pytest

from tests.ecs.fargate import stopped_event
from tests.ecs.team import Team, first_task_start, prefect, state, states, wait_for
from tests.support.container_engine import Container
from tests.support.world import World

pytestmark = [pytest.mark.image, pytest.mark.timeout(300)]


def wait_for_agent(world: World, container: Container) -> None:
    """Wait until the agent is at work on what the model told it."""
    wait_for(lambda: world.stack.model.asked, 90, container.logs)
    time.sleep(1)


def test_a_run_is_done_in_its_task(team: Team, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = team.run(world, branch_name="by-the-team")
    submitted = team.submitted(run_id)
    begun = datetime.now(UTC)
    with team.on_fargate(world, submitted) as container:
        status, said = container.end()
    assert status == 0, said
    assert state(run_id) == "Completed", said
    assert world.content("by-the-team", "hello.txt") == "hello"
    assert {"plan", "instructions-0", "change", "report.md", "usage.json"} <= team.saved_files(run_id)
    to_first_task = (first_task_start(run_id) - begun).total_seconds()
    with capsys.disabled():
        print(f"\nfrom the task's command to the first Prefect task: {to_first_task:.1f} s")
    assert 0 < to_first_task < 60


def test_a_task_that_was_killed_marks_its_run_as_crashed(team: Team, world: World) -> None:
    world.shell("sleep 300")
    run_id = team.run(world)
    submitted = team.submitted(run_id)
    with team.on_fargate(world, submitted) as container:
        wait_for_agent(world, container)
        assert state(run_id) == "Running"
        container.engine.call("kill", "--signal=KILL", container.name)
        status, _ = container.end()
    assert status == 137
    assert state(run_id) == "Running"
    team.cloud.client("events").put_events(Entries=[stopped_event(submitted, status)])
    team.until(run_id, "Crashed")


def test_a_run_cancelled_before_it_starts_ends_its_task_at_the_start(team: Team, world: World) -> None:
    run_id = team.run(world)
    submitted = team.submitted(run_id)
    prefect("flow-run", "cancel", run_id)
    with team.on_fargate(world, submitted) as container:
        status, said = container.end()
    assert status == 0, said
    assert state(run_id) == "Cancelled"
    assert not world.stack.model.asked


def test_a_cancelled_run_that_does_not_end_its_task_has_it_stopped_by_the_worker(team: Team, world: World) -> None:
    run_id = team.run(world)
    task = {"cluster": team.cloud.project, "task": team.submitted(run_id).task["taskArn"]}
    prefect("flow-run", "cancel", run_id)
    [stopped] = wait_for(lambda: team.aws.received("StopTask"), 150, team.worker.logs)
    assert stopped.request == {**task, "reason": "Stopped by Prefect worker"}
    assert stopped.response["task"]["desiredStatus"] == "STOPPED"
    assert state(run_id) == "Cancelled"


def test_a_run_cancelled_while_it_goes_on_ends_its_task_itself(team: Team, world: World) -> None:
    world.shell("sleep 300")
    run_id = team.run(world, branch_name="cancelled")
    with team.on_fargate(world, team.submitted(run_id)) as container:
        wait_for_agent(world, container)
        asked = time.monotonic()
        prefect("flow-run", "cancel", run_id)
        container.end()
        assert time.monotonic() - asked < 60
    assert state(run_id) == "Cancelled"
    assert "cancelled" not in world.branches()


def test_an_interrupted_run_is_handed_back_and_done_by_another_task(team: Team, world: World) -> None:
    world.shell("sleep 300")
    run_id = team.run(world, branch_name="at-the-second-go")
    submitted = team.submitted(run_id)
    with team.on_fargate(world, submitted) as container:
        wait_for_agent(world, container)
        asked = time.monotonic()
        container.stop(grace_seconds=submitted.container["stopTimeout"])
        assert time.monotonic() - asked < 20
        status, said = container.end()
    assert status == 0, said
    assert "AwaitingRetry" in states(run_id)
    world.script()
    with team.on_fargate(world, team.submitted(run_id, time_of_asking=2)) as container:
        status, said = container.end()
    assert status == 0, said
    assert state(run_id) == "Completed", said
    assert world.content("at-the-second-go", "hello.txt") == "hello"
