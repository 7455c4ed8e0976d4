"""What moto 5.2.5 does otherwise than AWS, and these tests need as AWS does it."""

from copy import deepcopy
from typing import Any

import pytest
from moto.cloudformation.models import Stack
from moto.ecr.models import Repository, ecr_backends
from moto.ecs.models import Cluster, EC2ContainerServiceBackend, TaskDefinition, ecs_backends


def repair(patch: pytest.MonkeyPatch) -> None:
    """Repair moto for as long as the patch lasts."""
    patch.setattr(Stack, "stack_parameters", property(_lists_as_given))
    listed = property(
        lambda stack: [{"ParameterKey": k, "ParameterValue": v} for k, v in _lists_as_given(stack).items()]
    )
    patch.setattr(Stack, "parameter_list", listed)
    patch.setattr(Repository, "delete", _with_its_images)
    patch.setattr(Cluster, "delete", _the_cluster_too, raising=False)
    original = EC2ContainerServiceBackend._calculate_task_resource_requirements
    patch.setattr(
        EC2ContainerServiceBackend,
        "_calculate_task_resource_requirements",
        staticmethod(lambda definition: original(_with_the_tasks_memory(deepcopy(definition)))),
    )


def _lists_as_given(stack: Any) -> dict[str, Any]:  # noqa: ANN401 (moto is not typed)
    """DescribeStacks returns a list parameter as the text that it was given as; moto returns Python's list."""
    resolved = stack.resource_map.resolved_parameters
    return {name: ",".join(value) if isinstance(value, list) else value for name, value in resolved.items()}


def _with_its_images(repository: Any, account_id: str, region_name: str) -> None:  # noqa: ANN401
    """EmptyOnDelete is honoured by CloudFormation, and unknown to moto."""
    ecr_backends[account_id][region_name].delete_repository(repository.name, force=True)


def _the_cluster_too(cluster: Any, account_id: str, region_name: str) -> None:  # noqa: ANN401
    """A stack's cluster goes with the stack; moto leaves it."""
    ecs_backends[account_id][region_name].delete_cluster(cluster.arn)


def _with_the_tasks_memory(definition: TaskDefinition) -> TaskDefinition:
    """On Fargate a container may leave its memory to the task; moto answers 500."""
    for container in definition.container_definitions:
        if container.get("memory") is None and container.get("memoryReservation") is None:
            container["memoryReservation"] = int(definition.memory or 0)
    return definition
