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

if TYPE_CHECKING:
    from click.testing import Result

REGION = "us-east-1"
EMAIL = "bot@example.com"

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
    ecr.put_image(repositoryName=name, imageTag=tag, imageManifest=json.dumps({{"tag": tag}}))
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
    def network(self) -> tuple[str, ...]:
        return ("--subnet", self.subnet, "--security-group", self.security_group)

    @property
    def up(self) -> tuple[str, ...]:
        """`up` with everything that it needs, less the token."""
        return ("up", *self.network, "--tag", "v1", "--secret-name", f"{self.project}/git", "--email", EMAIL, "--token", "-")

    def client(self, service: str) -> Any:  # noqa: ANN401 (any of AWS's)
        return boto3.client(service, region_name=REGION)  # type: ignore[call-overload]

    def state(self) -> dict[str, Any]:
        """Return everything that a set-up can change, AWS's and Prefect's."""
        from prefect.client.orchestration import get_client  # noqa: PLC0415

        with get_client(sync_client=True) as prefect:
            pools = {pool.name: pool.updated for pool in prefect.read_work_pools()}
            deployments = {d.name: d.updated for d in prefect.read_deployments()}
        clients = {name: self.client(name) for name in ("cloudformation", "s3", "iam", "ecr", "ecs", "sqs", "secretsmanager")}
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
            "clusters": clients["ecs"].list_clusters()["clusterArns"],
            "task definitions": clients["ecs"].list_task_definitions(status="ACTIVE")["taskDefinitionArns"],
            "queues": clients["sqs"].list_queues().get("QueueUrls", []),
            "secrets": [
                (s["Name"], s["SecretVersionsToStages"])
                for s in clients["secretsmanager"].list_secrets()["SecretList"]
            ],
        }


@pytest.fixture(scope="session")
def aws(stack: LocalStack) -> Iterator[LocalStack]:
    """The stack, with all of AWS at its address."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", stack.aws_url)
        yield stack


@pytest.fixture
def make_cloud(aws: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Cloud]:
    """Projects, side by side in one account."""
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(_DOCKER.format(python=sys.executable))
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{docker.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("NOTED", str(tmp_path / "noted"))
    ec2 = boto3.client("ec2", region_name=REGION, endpoint_url=aws.aws_url)
    vpc = ec2.describe_vpcs(Filters=[{"Name": "isDefault", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    mine = [{"Name": "vpc-id", "Values": [vpc]}]
    subnet = ec2.describe_subnets(Filters=mine)["Subnets"][0]["SubnetId"]
    group = ec2.describe_security_groups(Filters=mine)["SecurityGroups"][0]["GroupId"]
    return lambda: Cloud(f"p-{uuid.uuid4().hex[:8]}", subnet, group, tmp_path / "noted")


@pytest.fixture
def cloud(make_cloud: Callable[[], Cloud]) -> Iterator[Cloud]:
    """A project with nothing of it there yet."""
    made = make_cloud()
    yield made
    made("down", "--yes", "--delete-data", "--secret-name", f"{made.project}/git")


def noted(cloud: Cloud) -> list[list[str]]:
    """Return what docker was called with."""
    return [json.loads(line) for line in cloud.noted.read_text().splitlines()] if cloud.noted.exists() else []
