"""A stand-in for Fargate: it runs a task that the worker submitted in the real image, as the task definition says."""

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
    """A submitted task: the request of RunTask, the task that ECS created, and its definition."""

    request: dict[str, Any]
    task: dict[str, Any]
    definition: dict[str, Any]

    @property
    def container(self) -> dict[str, Any]:
        """The definition's only container."""
        [container] = self.definition["containerDefinitions"]
        return dict(container)

    @property
    def override(self) -> dict[str, Any]:
        """The overrides of the definition's container."""
        [override] = self.request["overrides"]["containerOverrides"]
        assert override["name"] == self.container["name"]
        return dict(override)

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables, including the overrides but not the secrets."""
        pairs = [*self.container.get("environment", []), *self.override["environment"]]
        return {pair["name"]: pair["value"] for pair in pairs}

    @property
    def command(self) -> list[str]:
        """The command of the container; the image's entry point is unchanged."""
        return list(self.override.get("command") or self.container["command"])

    def secrets(self) -> dict[str, str]:
        """Return the secrets by variable, read by their ARN as ECS does."""
        return secrets_of(self.container)


def secrets_of(container: Mapping[str, Any]) -> dict[str, str]:
    """Return a container's secrets by the environment variables that hold them."""
    client = boto3.client("secretsmanager", region_name=REGION)
    references = [secret for secret in container.get("secrets", []) if secret]  # moto leaves None for AWS::NoValue
    return {
        reference["name"]: client.get_secret_value(SecretId=reference["valueFrom"])["SecretString"]
        for reference in references
    }


def stopped_event(submitted: Submitted, exit_code: int) -> dict[str, str]:
    """Return the event that ECS sends after a task's container has exited."""
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
def started_task(engine: Engine, submitted: Submitted, aws_variables: Mapping[str, str]) -> Iterator[Container]:
    """Start the task's container.

    Args:
        engine: The container engine, with the image to run. (On ECS the digest in the definition chooses the image.)
        submitted: The task to run.
        aws_variables: Variables that replace the task role and AWS's endpoints.
    """
    mounts = [mount["containerPath"] for mount in submitted.container["mountPoints"]]
    assert mounts == ["/tmp"], "the image has a volume there, and nowhere else"  # noqa: S108
    environment = {**submitted.variables, **submitted.secrets(), **aws_variables}
    read_only = submitted.container["readonlyRootFilesystem"]
    with engine.container(*submitted.command, environment=environment, read_only=read_only) as container:
        yield container
