"""The nightly deployment, its schedule made active, and near."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.schedules import IntervalSchedule

from tests.ecs.team import Team, state, wait_for
from tests.support.world import World

pytestmark = [pytest.mark.image, pytest.mark.timeout(300)]

NIGHTLY = "implement/nightly"


def runs_of(deployment_id: UUID) -> list[str]:
    """Return the runs of a deployment that its schedule made, the next one first."""
    mine = DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id]))
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(deployment_filter=mine)
    made = [(run.expected_start_time, str(run.id)) for run in runs if run.auto_scheduled and run.expected_start_time]
    return [run_id for _, run_id in sorted(made)]


@pytest.fixture
def nightly(team: Team, world: World) -> Iterator[UUID]:  # noqa: ARG001 (it deployed it)
    """The deployment with its parameters set and a run due in some seconds; asleep again at the end."""
    parameters = {"repo_url": world.repo_url, "instructions": "Every night", "branch_name": "by-night"}
    soon = IntervalSchedule(interval=timedelta(minutes=20), anchor_date=datetime.now(UTC) + timedelta(seconds=25))
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(NIGHTLY)
        [schedule] = deployment.schedules
        assert not schedule.active
        client.update_deployment_schedule(deployment.id, schedule.id, active=True, schedule=soon, parameters=parameters)
        yield deployment.id
        client.update_deployment_schedule(deployment.id, schedule.id, active=False)


def test_a_schedule_makes_its_run_and_the_run_is_done(team: Team, world: World, nightly: UUID) -> None:
    [run_id, *_] = wait_for(lambda: runs_of(nightly), 60, team.worker.logs)
    submitted = team.submitted(run_id)
    with team.on_fargate(world, submitted) as container:
        status, said = container.end()
    assert status == 0, said
    assert state(run_id) == "Completed"
    assert world.content("by-night", "hello.txt") == "hello"
