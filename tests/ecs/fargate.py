"""Fargate's part, played here: a task that the worker submitted, run in the real image as its definition says."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3

from tests.support.cloud import REGION
from tests.support.container_engine import Container, Engine


@dataclass(frozen=True)
class Submitted:
    """A task: what RunTask received, what ECS made of it, and its definition."""

    request: dict[str, Any]
    task: dict[str, Any]
    definition: dict[str, Any]

    @property
    def container(self) -> dict[str, Any]:
        """The definition's only container."""
        [only] = self.definition["containerDefinitions"]
        return dict(only)

    @property
    def override(self) -> dict[str, Any]:
        """The overrides of that container."""
        [only] = self.request["overrides"]["containerOverrides"]
        assert only["name"] == self.container["name"]
        return dict(only)

    @property
    def variables(self) -> dict[str, str]:
        """The environment, the overrides' included, and the secrets not."""
        pairs = [*self.container.get("environment", []), *self.override["environment"]]
        return {pair["name"]: pair["value"] for pair in pairs}

    @property
    def command(self) -> list[str]:
        """What is run; the image's entry point stays."""
        return list(self.override.get("command") or self.container["command"])

    def secrets(self) -> dict[str, str]:
        """Return the secrets, read by their ARN as ECS does."""
        return secrets_of(self.container)


def secrets_of(container: Mapping[str, Any]) -> dict[str, str]:
    """Return a container's secrets, by the variables that they become."""
    client = boto3.client("secretsmanager", region_name=REGION)
    listed = [secret for secret in container.get("secrets", []) if secret]  # moto leaves None for AWS::NoValue
    return {s["name"]: client.get_secret_value(SecretId=s["valueFrom"])["SecretString"] for s in listed}


def stopped_event(submitted: Submitted, exit_code: int) -> dict[str, str]:
    """Return the event that ECS sends when a task's container has ended."""
    task = {name: submitted.task[name] for name in ("clusterArn", "taskArn", "taskDefinitionArn")}
    container = {"name": submitted.container["name"], "lastStatus": "STOPPED", "exitCode": exit_code}
    detail = {
        **task,
        "lastStatus": "STOPPED",
        "desiredStatus": "STOPPED",
        "stopCode": "EssentialContainerExited",
        "stoppedReason": "Essential container in task exited",
        "containers": [container],
    }
    return {"Source": "aws.ecs", "DetailType": "ECS Task State Change", "Detail": json.dumps(detail)}


@contextmanager
def started(engine: Engine, submitted: Submitted, account: Mapping[str, str]) -> Iterator[Container]:
    """Start the task's container.

    Args:
        engine: Runs it, and knows the image; that the definition's digest names it is ECR's to say.
        submitted: What to run.
        account: Variables in place of the task role and of AWS's addresses.
    """
    mounts = [mount["containerPath"] for mount in submitted.container["mountPoints"]]
    assert mounts == ["/tmp"], "the image has a volume there, and nowhere else"  # noqa: S108
    environment = {**submitted.variables, **submitted.secrets(), **account}
    read_only = submitted.container["readonlyRootFilesystem"]
    with engine.container(*submitted.command, environment=environment, read_only=read_only) as container:
        yield container
