"""An AWS account (moto) and a Prefect server on which the set-up commands are tested."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployments.local.stack import LocalStack
from tests.support.aws_account import docker_stand_in, moto_account, new_cloud
from tests.support.cloud import TOKEN, Cloud, CreatedProject


@pytest.fixture(scope="package")
def aws(stack: LocalStack) -> Iterator[LocalStack]:
    """The stack, with all services of AWS at its address."""
    with moto_account(stack) as account:
        yield account


@pytest.fixture(scope="package")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The log file of a stand-in for docker, which pushes to moto and records its arguments."""
    with docker_stand_in(tmp_path_factory.mktemp("docker")) as log_file:
        yield log_file


@pytest.fixture(scope="package")
def make_cloud(aws: LocalStack, docker: Path) -> Callable[[], Cloud]:
    """A function that makes a new project in the account."""
    return lambda: new_cloud(aws, docker)


@pytest.fixture
def cloud(make_cloud: Callable[[], Cloud]) -> Cloud:
    """A project that has no resources in the account yet."""
    return make_cloud()


@pytest.fixture(scope="package")
def created_project(make_cloud: Callable[[], Cloud]) -> CreatedProject:
    """A project that `up` created once. The tests that use it do not change it."""
    cloud = make_cloud()
    before = cloud.state()
    dry_run = cloud.run(*cloud.up, "--dry-run", stdin=f"{TOKEN}\n")
    after_dry_run = cloud.state()
    up = cloud.run(*cloud.up, stdin=f"{TOKEN}\n")
    state = cloud.state()
    again = cloud.run(*cloud.up, stdin=f"{TOKEN}\n")
    assert cloud.state() == state
    return CreatedProject(cloud, before, dry_run, after_dry_run, up, again, state)
