"""A team's set-up on AWS (moto), with the real worker in the real image; `make test-ecs` builds the image."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.local.prefect_server import free_port
from deployments.local.stack import LocalStack
from deployments.prefect.pool import ECS_POOL
from tests.ecs.fargate import secrets_of
from tests.ecs.recorded_aws import RecordedAws
from tests.ecs.team import PREFECT_API_KEY, Team
from tests.support.aws_account import docker_stand_in, moto_account, new_cloud
from tests.support.cloud import REGION, TOKEN, Cloud
from tests.support.container_engine import Container, Engine


@pytest.fixture(scope="session")
def prefect_settings() -> dict[str, str]:
    """Prefect server settings: a cancelled run has one minute to end itself, not five; schedules are checked often."""
    return {
        "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_CANCELLING_TIMEOUT_SECONDS": "60",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
    }


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The container engine that `make test-ecs` names."""
    return Engine.from_environment()


@pytest.fixture(scope="package")
def aws(stack: LocalStack) -> Iterator[LocalStack]:
    """The stack, with all services of AWS at its address."""
    with moto_account(stack) as account:
        yield account


@pytest.fixture(scope="package")
def docker(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file in which the stand-in for docker records its arguments."""
    assert engine.program.startswith("/"), "the stand-in for docker would run the containers"
    with docker_stand_in(tmp_path_factory.mktemp("docker")) as recorded_in:
        yield recorded_in


@pytest.fixture(scope="package")
def cloud(aws: LocalStack, docker: Path) -> Cloud:
    """The result of `up` for a team whose Prefect API needs an API key. It includes `prefect deploy --all`."""
    from prefect.settings import PREFECT_API_KEY as SETTING  # noqa: PLC0415
    from prefect.settings import temporary_settings  # noqa: PLC0415

    project = new_cloud(aws, docker)
    with temporary_settings({SETTING: PREFECT_API_KEY}):
        project.run(*project.up, stdin=f"{TOKEN}\n")
    return project


@pytest.fixture(scope="package")
def recorded(aws: LocalStack) -> Iterator[RecordedAws]:
    """AWS as the worker reaches it, with a record of its calls."""
    with RecordedAws(aws.aws_url) as recorded_aws:
        yield recorded_aws


@pytest.fixture(scope="package")
def worker(cloud: Cloud, engine: Engine, recorded: RecordedAws, stack: LocalStack) -> Iterator[Container]:
    """The worker's service, run in the image with the command, variables and secrets of its task definition."""
    ecs = cloud.client("ecs")
    definition = ecs.describe_task_definition(taskDefinition=f"{cloud.project}-worker")["taskDefinition"]
    [container] = definition["containerDefinitions"]
    aws_variables = {name: value for name, value in stack.environment().items() if name.startswith("AWS_")}
    test_variables = {
        "AWS_ENDPOINT_URL": recorded.url,
        "PREFECT_HOME": "/tmp/a-home-of-the-workers-own",  # noqa: S108
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_WORKER_WEBSERVER_PORT": str(free_port()),  # all containers share the host's network
    }
    variables = {pair["name"]: pair["value"] for pair in container["environment"]}
    assert variables["AWS_DEFAULT_REGION"] == REGION
    assert ECS_POOL in container["command"]
    environment = {**variables, **secrets_of(container), **aws_variables, **test_variables}
    read_only = container["readonlyRootFilesystem"]
    with engine.container(*container["command"], environment=environment, read_only=read_only) as running:
        yield running


@pytest.fixture(scope="package")
def team(cloud: Cloud, engine: Engine, recorded: RecordedAws, worker: Container) -> Team:
    """The complete set-up, in operation."""
    return Team(cloud, engine, recorded, worker)
