"""The nightly deployment, with its schedule activated and a run due soon."""

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
    """Return the scheduled runs of a deployment, the next one first."""
    of_this_deployment = DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id]))
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(deployment_filter=of_this_deployment)
    scheduled_runs = [
        (run.expected_start_time, str(run.id)) for run in runs if run.auto_scheduled and run.expected_start_time
    ]
    return [run_id for _, run_id in sorted(scheduled_runs)]


@pytest.fixture
def nightly(team: Team, world: World) -> Iterator[UUID]:  # noqa: ARG001 (the set-up deploys it)
    """The deployment with its parameters set and a run due in some seconds; deactivated again at the end."""
    parameters = {"repo_url": world.repo_url, "instructions": "Every night", "branch_name": "by-night"}
    soon = IntervalSchedule(interval=timedelta(minutes=20), anchor_date=datetime.now(UTC) + timedelta(seconds=25))
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(NIGHTLY)
        [schedule] = deployment.schedules
        assert not schedule.active
        client.update_deployment_schedule(deployment.id, schedule.id, active=True, schedule=soon, parameters=parameters)
        yield deployment.id
        client.update_deployment_schedule(deployment.id, schedule.id, active=False)


def test_a_schedule_creates_its_run_and_the_run_completes(team: Team, world: World, nightly: UUID) -> None:
    [run_id, *_] = wait_for(lambda: runs_of(nightly), 60, team.worker.logs)
    submitted = team.submitted(run_id)
    with team.on_fargate(world, submitted) as container:
        status, output = container.wait_for_exit()
    assert status == 0, output
    assert state(run_id) == "Completed"
    assert world.content("by-night", "hello.txt") == "hello"
