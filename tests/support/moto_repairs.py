"""Corrections of moto 5.2.5 where it differs from AWS in ways that matter to these tests."""

from copy import deepcopy
from typing import Any

import pytest
from moto.cloudformation.models import Stack
from moto.ecr.models import Repository, ecr_backends
from moto.ecs.models import Cluster, EC2ContainerServiceBackend, TaskDefinition, ecs_backends


def repair(patch: pytest.MonkeyPatch) -> None:
    """Correct moto while the patch lasts."""
    patch.setattr(Stack, "stack_parameters", property(_lists_as_text))
    parameter_list = property(
        lambda stack: [{"ParameterKey": k, "ParameterValue": v} for k, v in _lists_as_text(stack).items()]
    )
    patch.setattr(Stack, "parameter_list", parameter_list)
    patch.setattr(Repository, "delete", _delete_with_images)
    patch.setattr(Cluster, "delete", _delete_cluster, raising=False)
    original = EC2ContainerServiceBackend._calculate_task_resource_requirements
    patch.setattr(
        EC2ContainerServiceBackend,
        "_calculate_task_resource_requirements",
        staticmethod(lambda definition: original(_with_task_memory(deepcopy(definition)))),
    )


def _lists_as_text(stack: Any) -> dict[str, Any]:  # noqa: ANN401 (moto is not typed)
    """DescribeStacks returns a list parameter as the text it was passed as; moto returns a Python list."""
    resolved = stack.resource_map.resolved_parameters
    return {name: ",".join(value) if isinstance(value, list) else value for name, value in resolved.items()}


def _delete_with_images(repository: Any, account_id: str, region_name: str) -> None:  # noqa: ANN401
    """CloudFormation honours EmptyOnDelete; moto does not know it."""
    ecr_backends[account_id][region_name].delete_repository(repository.name, force=True)


def _delete_cluster(cluster: Any, account_id: str, region_name: str) -> None:  # noqa: ANN401
    """Deleting a stack deletes its cluster; moto leaves the cluster."""
    ecs_backends[account_id][region_name].delete_cluster(cluster.arn)


def _with_task_memory(definition: TaskDefinition) -> TaskDefinition:
    """On Fargate a container may leave its memory to the task; moto answers with status 500."""
    for container in definition.container_definitions:
        if container.get("memory") is None and container.get("memoryReservation") is None:
            container["memoryReservation"] = int(definition.memory or 0)
    return definition
