"""Job variables for the size of a run's task: who accepts them, who refuses them, and how a run gets a larger disk."""

from collections.abc import Iterator
from typing import Any

import pytest

from deployments.local.stack import LocalStack
from tests.support.cloud import CreatedProject
from tests.support.commands import set_up_command

pytestmark = pytest.mark.xdist_group("aws")

RUN = ("run", "--repo-url", "https://github.com/your-org/your-repo.git", "--instructions", "s3://bucket/main.md")
PARAMETERS = {"repo_url": "https://github.com/your-org/your-repo.git", "instructions": "Wait"}


@pytest.fixture
def prefect(created_project: CreatedProject) -> Iterator[Any]:
    """A client of the server on which the project's pools and deployments are."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415 (Prefect reads its environment at import)

    assert created_project.state["deployments"]
    with get_client(sync_client=True) as client:
        yield client


def start(prefect: Any, deployment: str, job_variables: dict[str, object]) -> Any:  # noqa: ANN401 (Prefect's types)
    deployment_id = prefect.read_deployment_by_name(deployment).id
    return prefect.create_flow_run_from_deployment(deployment_id, parameters=PARAMETERS, job_variables=job_variables)


@pytest.mark.parametrize(
    "size",
    [
        {"ephemeral_storage": 20},
        {"ephemeral_storage": 201},
        {"ephemeral_storage": "much"},
        {"cpu": 3000},
        {"memory": 2048},
        {"memory": 8193},
    ],
    ids=str,
)
def test_the_server_and_the_command_refuse_a_size_that_fargate_does_not_have(
    prefect: Any,  # noqa: ANN401
    created_project: CreatedProject,
    size: dict[str, object],
) -> None:
    from prefect.exceptions import PrefectHTTPStatusError  # noqa: PLC0415

    with pytest.raises(PrefectHTTPStatusError, match="422"):
        start(prefect, "implement/ecs", size)
    options = [part for name, value in size.items() for part in ("--job-variable", f"{name}={value}")]
    assert created_project.cloud.refused(*RUN, *options).startswith("InvalidParameter: ")


def test_the_command_starts_a_run_of_another_size(prefect: Any, created_project: CreatedProject) -> None:  # noqa: ANN401
    variables = {"cpu": 4096, "memory": 16384, "ephemeral_storage": 100}
    options = [part for name, value in variables.items() for part in ("--job-variable", f"{name}={value}")]
    name = created_project.cloud.run(*RUN, *options).split()[1].rstrip(":")
    [flow_run] = [run for run in prefect.read_flow_runs() if run.name == name]
    assert flow_run.job_variables == variables
    prefect.delete_flow_run(flow_run.id)


def test_a_full_disk_is_followed_by_the_same_run_on_a_larger_one(prefect: Any, stack: LocalStack) -> None:  # noqa: ANN401
    from prefect.states import Failed  # noqa: PLC0415

    runs = set_up_command(stack, "runs")
    flow_run = start(prefect, "implement/ecs", {"cpu": 1024})
    prefect.set_flow_run_state(flow_run.id, Failed(), force=True)
    larger = ("--job-variable", "ephemeral_storage=100")
    assert "continuing" in runs("continue", str(flow_run.id), *larger)
    continued = prefect.read_flow_run(flow_run.id)
    assert continued.job_variables == {"cpu": 1024, "ephemeral_storage": 100}
    assert continued.state.name == "AwaitingRetry"
    assert continued.state.state_details.scheduled_time <= continued.state.timestamp, "a worker may start it now"
    prefect.set_flow_run_state(flow_run.id, Failed(), force=True)
    earlier = {run.id for run in prefect.read_flow_runs()}
    assert "started" in runs("repeat", str(flow_run.id), *larger)
    [repeated] = [run for run in prefect.read_flow_runs() if run.id not in earlier]
    assert repeated.job_variables == {"cpu": 1024, "ephemeral_storage": 100}
    message = " ".join(runs("continue", str(flow_run.id), "--job-variable", "ephemeral_storage=7", status=1).split())
    assert "ephemeral_storage=7 is not a size of Fargate: use 21 to 200 GiB" in message
    for run in (flow_run, repeated):
        prefect.delete_flow_run(run.id)


def test_a_run_on_another_pool_has_no_such_variables(prefect: Any, stack: LocalStack) -> None:  # noqa: ANN401
    from prefect.states import Failed  # noqa: PLC0415

    flow_run = start(prefect, "implement/local", {})
    prefect.set_flow_run_state(flow_run.id, Failed(), force=True)
    arguments = ("continue", str(flow_run.id), "--job-variable", "ephemeral_storage=100")
    assert "does not run on ECS" in set_up_command(stack, "runs")(*arguments, status=1)
    prefect.delete_flow_run(flow_run.id)
