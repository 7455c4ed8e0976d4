"""An AWS account (moto) and the stack's Prefect server, for the set-up commands."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployments.local.stack import LocalStack
from tests.support.aws_account import docker_stand_in, moto_account, new_cloud
from tests.support.cloud import TOKEN, Cloud, Made


@pytest.fixture(scope="package")
def aws(stack: LocalStack) -> Iterator[LocalStack]:
    """The stack, with all services of AWS at its address."""
    with moto_account(stack) as account:
        yield account


@pytest.fixture(scope="package")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file in which the docker that pushes to moto records its arguments."""
    with docker_stand_in(tmp_path_factory.mktemp("docker")) as recorded_in:
        yield recorded_in


@pytest.fixture(scope="package")
def make_cloud(aws: LocalStack, docker: Path) -> Callable[[], Cloud]:
    """Projects, side by side in one account."""
    return lambda: new_cloud(aws, docker)


@pytest.fixture
def cloud(make_cloud: Callable[[], Cloud]) -> Cloud:
    """A project that has nothing in the account yet."""
    return make_cloud()


@pytest.fixture(scope="package")
def made(make_cloud: Callable[[], Cloud]) -> Made:
    """A project that `up` made once; the tests that use it do not change it."""
    cloud = make_cloud()
    before = cloud.state()
    dry_run = cloud.done(*cloud.up, "--dry-run", stdin=f"{TOKEN}\n")
    after_dry_run = cloud.state()
    up = cloud.done(*cloud.up, stdin=f"{TOKEN}\n")
    state = cloud.state()
    again = cloud.done(*cloud.up, stdin=f"{TOKEN}\n")
    assert cloud.state() == state
    return Made(cloud, before, dry_run, after_dry_run, up, again, state)
