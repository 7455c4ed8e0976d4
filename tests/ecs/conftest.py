"""A team's set-up on AWS (moto), with the real worker in the real image; `make test-ecs` builds that."""

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
    """A server that waits a minute, not five, for a cancelled run to end itself, and that looks at schedules often."""
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
    """The file in which the docker that pushes to moto records its arguments."""
    assert engine.program.startswith("/"), "or the stand-in would run the containers"
    with docker_stand_in(tmp_path_factory.mktemp("docker")) as recorded_in:
        yield recorded_in


@pytest.fixture(scope="package")
def cloud(aws: LocalStack, docker: Path) -> Cloud:
    """What `up` made for a team whose Prefect asks for an API key; `prefect deploy --all` is its last step but one."""
    from prefect.settings import PREFECT_API_KEY as SETTING  # noqa: PLC0415
    from prefect.settings import temporary_settings  # noqa: PLC0415

    made = new_cloud(aws, docker)
    with temporary_settings({SETTING: PREFECT_API_KEY}):
        made.done(*made.up, stdin=f"{TOKEN}\n")
    return made


@pytest.fixture(scope="package")
def recorded(aws: LocalStack) -> Iterator[RecordedAws]:
    """AWS, as the worker reaches it."""
    with RecordedAws(aws.aws_url) as made:
        yield made


@pytest.fixture(scope="package")
def worker(cloud: Cloud, engine: Engine, recorded: RecordedAws, stack: LocalStack) -> Iterator[Container]:
    """The worker's service: its task definition's command, variables and secrets, in the image."""
    ecs = cloud.client("ecs")
    definition = ecs.describe_task_definition(taskDefinition=f"{cloud.project}-worker")["taskDefinition"]
    [container] = definition["containerDefinitions"]
    account = {name: value for name, value in stack.environment().items() if name.startswith("AWS_")}
    ours = {
        "AWS_ENDPOINT_URL": recorded.url,
        "PREFECT_HOME": "/tmp/a-home-of-the-workers-own",  # noqa: S108
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_WORKER_WEBSERVER_PORT": str(free_port()),  # all share the host's network here
    }
    variables = {pair["name"]: pair["value"] for pair in container["environment"]}
    assert variables["AWS_DEFAULT_REGION"] == REGION
    assert ECS_POOL in container["command"]
    environment = {**variables, **secrets_of(container), **account, **ours}
    read_only = container["readonlyRootFilesystem"]
    with engine.container(*container["command"], environment=environment, read_only=read_only) as running:
        yield running


@pytest.fixture(scope="package")
def team(cloud: Cloud, engine: Engine, recorded: RecordedAws, worker: Container) -> Team:
    """All of it, working."""
    return Team(cloud, engine, recorded, worker)
