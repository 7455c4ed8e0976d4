"""A project in the AWS account (moto) and on the suite's Prefect server, and the set-up commands run on it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from click.testing import Result

REGION = "us-east-1"
EMAIL = "bot@example.com"
TOKEN = "a-token-of-these-tests"


@dataclass
class Cloud:
    """A test's own project in the account; calling it runs a set-up command on that project."""

    project: str
    subnet: str
    security_group: str
    docker_log: Path

    def __call__(self, *arguments: str, stdin: str = "") -> "Result":
        """Run a command in this process."""
        from typer.testing import CliRunner  # noqa: PLC0415 (Prefect reads its environment when it is imported)

        from deployments.__main__ import app  # noqa: PLC0415

        return CliRunner().invoke(app, [*arguments, "--project", self.project], input=stdin)

    def run(self, *arguments: str, stdin: str = "") -> str:
        """Run a command that must succeed; return its output."""
        result = self(*arguments, stdin=stdin)
        assert result.exit_code == 0, result.output + repr(result.exception)
        return str(result.output)

    def refused(self, *arguments: str, stdin: str = "") -> str:
        """Run a command that must fail with a one-line message; return the message."""
        result = self(*arguments, stdin=stdin)
        assert result.exit_code == 1, result.output + repr(result.exception)
        assert len(result.output.strip().splitlines()) == 1, result.output
        return str(result.output)

    @property
    def git(self) -> str:
        """The name of the git secret."""
        return f"{self.project}/git"

    @property
    def network(self) -> tuple[str, ...]:
        return ("--subnet", self.subnet, "--security-group", self.security_group)

    @property
    def up(self) -> tuple[str, ...]:
        """The arguments of `up`, complete except for the token, which is read from standard input."""
        return ("up", *self.network, "--tag", "v1", "--secret-name", self.git, "--email", EMAIL, "--token", "-")

    def client(self, service: str) -> Any:  # noqa: ANN401 (each service has a type of its own)
        return boto3.client(service, region_name=REGION)  # type: ignore[call-overload]

    def flow_run_count(self) -> int:
        """Return how many flow runs the Prefect server has."""
        from prefect.client.orchestration import get_client  # noqa: PLC0415

        with get_client(sync_client=True) as prefect:
            return len(prefect.read_flow_runs())

    def state(self) -> dict[str, Any]:
        """Return the state of everything that a set-up can change in AWS and in Prefect."""
        from prefect.client.orchestration import get_client  # noqa: PLC0415

        with get_client(sync_client=True) as prefect:
            pools = {pool.name: pool.updated for pool in prefect.read_work_pools()}
            deployments = {(d.name, d.flow_id): d.updated for d in prefect.read_deployments()}
            blocks = {(d.name, d.id): d.updated for d in prefect.read_block_documents() if d.name}
        clients = {
            name: self.client(name) for name in ("cloudformation", "s3", "iam", "ecr", "ecs", "sqs", "secretsmanager")
        }
        return {
            "pools": pools,
            "deployments": deployments,
            "blocks": blocks,
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


@dataclass
class CreatedProject:
    """A project that `up` created, with the outputs and the states before, between and after the commands."""

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


def docker_calls(cloud: Cloud) -> list[list[str]]:
    """Return the arguments of each call of docker."""
    return [json.loads(line) for line in cloud.docker_log.read_text().splitlines()] if cloud.docker_log.exists() else []
