"""An AWS account (moto) and the suite's Prefect server, for the set-up commands."""

import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from deployments.local.stack import LocalStack
from tests.deployments.aws.moto_repairs import repair

if TYPE_CHECKING:
    from click.testing import Result

REGION = "us-east-1"
EMAIL = "bot@example.com"
TOKEN = "a-token-of-these-tests"

# Plays docker: "pushes" by telling the registry of an image, and notes what it was called with.
_DOCKER = """#!{python}
import json, os, sys, pathlib
noted = pathlib.Path(os.environ["NOTED"])
with noted.open("a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[1] == "push":
    import boto3
    host, _, rest = sys.argv[2].partition("/")
    login = json.loads((pathlib.Path(os.environ["DOCKER_CONFIG"]) / "config.json").read_text())["auths"][host]["auth"]
    name, _, tag = rest.rpartition(":")
    ecr = boto3.client("ecr")
    assert login == ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    kind = "application/vnd.oci.image.manifest.v1+json"
    config = {{"digest": "sha256:" + "0" * 64, "size": 1, "mediaType": "application/vnd.oci.image.config.v1+json"}}
    manifest = {{"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [], "annotations": {{"tag": tag}}}}
    ecr.put_image(repositoryName=name, imageTag=tag, imageManifest=json.dumps(manifest), imageManifestMediaType=kind)
"""


@dataclass
class Cloud:
    """A project of one test's own in the account, and a way to give the commands."""

    project: str
    subnet: str
    security_group: str
    noted: Path

    def __call__(self, *arguments: str, stdin: str = "") -> "Result":
        """Give a command in this process."""
        from typer.testing import CliRunner  # noqa: PLC0415 (Prefect reads its environment when it is imported)

        from deployments.__main__ import app  # noqa: PLC0415

        return CliRunner().invoke(app, [*arguments, "--project", self.project], input=stdin)

    def done(self, *arguments: str, stdin: str = "") -> str:
        """Give a command that must succeed; return what it said."""
        result = self(*arguments, stdin=stdin)
        assert result.exit_code == 0, result.output + repr(result.exception)
        return str(result.output)

    def refused(self, *arguments: str, stdin: str = "") -> str:
        """Give a command that must refuse, in one line; return it."""
        result = self(*arguments, stdin=stdin)
        assert result.exit_code == 1, result.output + repr(result.exception)
        assert len(result.output.strip().splitlines()) == 1, result.output
        return str(result.output)

    @property
    def git(self) -> str:
        """The git secret's name."""
        return f"{self.project}/git"

    @property
    def network(self) -> tuple[str, ...]:
        return ("--subnet", self.subnet, "--security-group", self.security_group)

    @property
    def up(self) -> tuple[str, ...]:
        """`up` with everything that it needs, less the token."""
        return ("up", *self.network, "--tag", "v1", "--secret-name", self.git, "--email", EMAIL, "--token", "-")

    def client(self, service: str) -> Any:  # noqa: ANN401 (any of AWS's)
        return boto3.client(service, region_name=REGION)  # type: ignore[call-overload]

    def runs(self) -> int:
        """Return how many flow runs the server knows."""
        from prefect.client.orchestration import get_client  # noqa: PLC0415

        with get_client(sync_client=True) as prefect:
            return len(prefect.read_flow_runs())

    def state(self) -> dict[str, Any]:
        """Return everything that a set-up can change, AWS's and Prefect's."""
        from prefect.client.orchestration import get_client  # noqa: PLC0415

        with get_client(sync_client=True) as prefect:
            pools = {pool.name: pool.updated for pool in prefect.read_work_pools()}
            deployments = {d.name: d.updated for d in prefect.read_deployments()}
        clients = {
            name: self.client(name) for name in ("cloudformation", "s3", "iam", "ecr", "ecs", "sqs", "secretsmanager")
        }
        return {
            "pools": pools,
            "deployments": deployments,
            "stacks": [
                (s["StackName"], s.get("LastUpdatedTime"), s["StackStatus"])
                for s in clients["cloudformation"].describe_stacks()["Stacks"]
            ],
            "change sets": [
                clients["cloudformation"].list_change_sets(StackName=s["StackName"])["Summaries"]
                for s in clients["cloudformation"].describe_stacks()["Stacks"]
            ],
            "buckets": [b["Name"] for b in clients["s3"].list_buckets()["Buckets"]],
            "roles": [r["RoleName"] for r in clients["iam"].list_roles()["Roles"]],
            "repositories": [r["repositoryName"] for r in clients["ecr"].describe_repositories()["repositories"]],
            "clusters": [
                c["clusterName"]
                for c in clients["ecs"].describe_clusters(clusters=clients["ecs"].list_clusters()["clusterArns"])[
                    "clusters"
                ]
                if c["status"] == "ACTIVE"
            ],
            "task definitions": clients["ecs"].list_task_definitions(status="ACTIVE")["taskDefinitionArns"],
            "queues": clients["sqs"].list_queues().get("QueueUrls", []),
            "secrets": [
                (s["Name"], s["SecretVersionsToStages"]) for s in clients["secretsmanager"].list_secrets()["SecretList"]
            ],
        }


@pytest.fixture(scope="session")
def aws(stack: LocalStack) -> Iterator[LocalStack]:
    """The stack, with all of AWS at its address."""
    with pytest.MonkeyPatch.context() as patch:
        repair(patch)
        patch.setenv("AWS_ENDPOINT_URL", stack.aws_url)
        yield stack


@pytest.fixture(scope="session")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A docker that pushes to moto; return the file with what it was called with."""
    folder = tmp_path_factory.mktemp("docker")
    program, noted_in = folder / "docker", folder / "noted"
    program.write_text(_DOCKER.format(python=sys.executable))
    program.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("NOTED", str(noted_in))
        yield noted_in


@pytest.fixture(scope="session")
def make_cloud(aws: LocalStack, docker: Path) -> Callable[[], Cloud]:
    """Projects, side by side in one account."""
    ec2 = boto3.client("ec2", region_name=REGION, endpoint_url=aws.aws_url)
    vpc = ec2.describe_vpcs(Filters=[{"Name": "isDefault", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    mine = [{"Name": "vpc-id", "Values": [vpc]}]
    subnet = ec2.describe_subnets(Filters=mine)["Subnets"][0]["SubnetId"]
    group = ec2.describe_security_groups(Filters=mine)["SecurityGroups"][0]["GroupId"]
    return lambda: Cloud(f"p-{uuid.uuid4().hex[:8]}", subnet, group, docker)


@pytest.fixture
def cloud(make_cloud: Callable[[], Cloud]) -> Cloud:
    """A project with nothing of it there yet."""
    return make_cloud()


@dataclass
class Made:
    """A project that `up` has made, and what was said and there at each point."""

    cloud: Cloud
    before: dict[str, Any]
    dry_run: str
    after_dry_run: dict[str, Any]
    up: str
    again: str
    state: dict[str, Any]

    @property
    def git(self) -> str:
        return self.cloud.git


@pytest.fixture(scope="session")
def made(make_cloud: Callable[[], Cloud]) -> Made:
    """A project that `up` made once; the tests that take it leave it as it is."""
    cloud = make_cloud()
    before = cloud.state()
    dry_run = cloud.done(*cloud.up, "--dry-run", stdin=f"{TOKEN}\n")
    after_dry_run = cloud.state()
    up = cloud.done(*cloud.up, stdin=f"{TOKEN}\n")
    state = cloud.state()
    again = cloud.done(*cloud.up, stdin=f"{TOKEN}\n")
    assert cloud.state() == state
    return Made(cloud, before, dry_run, after_dry_run, up, again, state)


def noted(cloud: Cloud) -> list[list[str]]:
    """Return what docker was called with."""
    return [json.loads(line) for line in cloud.noted.read_text().splitlines()] if cloud.noted.exists() else []
