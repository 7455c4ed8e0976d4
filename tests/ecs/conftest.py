"""A team's set-up on AWS (moto), with the real worker in the real image; `make test-ecs` builds that."""

from collections.abc import Callable, Iterator

import pytest

from deployments.local.prefect_server import free_port
from deployments.local.stack import LocalStack
from deployments.prefect.pool import ECS_POOL
from tests.deployments.aws.cloud import REGION, TOKEN, Cloud
from tests.deployments.aws.conftest import aws, docker, make_cloud  # noqa: F401 (fixtures)
from tests.ecs.fargate import secrets_of
from tests.ecs.recorded_aws import RecordedAws
from tests.ecs.team import Team
from tests.image.conftest import engine  # noqa: F401 (a fixture)
from tests.image.engine import Container, Engine

PREFECT_API_KEY = "pnu_a_key_that_nobody_else_may_see"


@pytest.fixture(scope="session")
def prefect_settings() -> dict[str, str]:
    """A server that waits a minute, not five, for a cancelled run to end itself, and that looks at schedules often."""
    return {
        "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_CANCELLING_TIMEOUT_SECONDS": "60",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
    }


@pytest.fixture(scope="package")
def cloud(engine: Engine, make_cloud: Callable[[], Cloud]) -> Cloud:  # noqa: F811
    """What `up` made for a team whose Prefect asks for an API key; `prefect deploy --all` is its last step but one."""
    from prefect.settings import PREFECT_API_KEY as SETTING  # noqa: PLC0415
    from prefect.settings import temporary_settings  # noqa: PLC0415

    assert engine.program.startswith("/"), "or it could be the docker that plays a part in make_cloud"
    made = make_cloud()
    with temporary_settings({SETTING: PREFECT_API_KEY}):
        made.done(*made.up, stdin=f"{TOKEN}\n")
    return made


@pytest.fixture(scope="package")
def recorded(aws: LocalStack) -> Iterator[RecordedAws]:  # noqa: F811
    """AWS, as the worker reaches it."""
    with RecordedAws(aws.aws_url) as made:
        yield made


@pytest.fixture(scope="package")
def worker(cloud: Cloud, engine: Engine, recorded: RecordedAws, stack: LocalStack) -> Iterator[Container]:  # noqa: F811
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
def team(cloud: Cloud, engine: Engine, recorded: RecordedAws, worker: Container) -> Team:  # noqa: F811
    """All of it, working."""
    return Team(cloud, engine, recorded, worker)
