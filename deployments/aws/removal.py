"""The steps of the command `down`. They remove what `up` created, in the reverse order of its creation."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound

from deployments.aws import template
from deployments.aws.account import Account
from deployments.aws.ecs_pool import results_block
from deployments.aws.secret import RECOVERY_DAYS, Secret
from deployments.aws.stack import Stack
from deployments.cli.step import Change, Step
from deployments.prefect import deployed
from deployments.prefect.pool import ECS_POOL, LOCAL_POOL
from deployments.prefect.results import ResultsBlock, block_slug
from flows.aws.session import client_config

if TYPE_CHECKING:
    from mypy_boto3_s3.service_resource import Bucket


@dataclass(frozen=True)
class RemoveStack:
    """The step that deletes a CloudFormation stack."""

    stack: Stack

    def plan(self) -> list[Change]:
        """Return the planned deletion if the stack exists."""
        resources = tuple(line.replace("+", "-", 1) for line in template.resources(template.text(self.stack.kind)))
        return [Change("delete", f"stack {self.stack.name}", resources)] if self.stack.describe() else []

    def apply(self) -> None:
        """Delete the stack."""
        self.stack.remove()


@dataclass(frozen=True)
class RemoveSecret:
    """The step that deletes a secret if the set-up commands created it. A secret that a person created stays."""

    secret: Secret

    def plan(self) -> list[Change]:
        """Return the planned deletion if the secret exists and the set-up commands created it."""
        note = f"AWS can restore it for {RECOVERY_DAYS} days"
        return [Change("delete", f"secret {self.secret.name}", (note,))] if self.secret.is_tagged() else []

    def apply(self) -> None:
        """Delete the secret."""
        self.secret.remove()


@dataclass(frozen=True)
class RemoveFromPrefect:
    """The step that deletes the deployments and work pools on the Prefect server. Past runs stay on the server."""

    prefect: SyncPrefectClient

    def plan(self) -> list[Change]:
        """Return a planned deletion for each deployment and work pool that exists."""
        changes = [
            Change("delete", f"deployment {name}") for name in deployed.names(self.prefect) if self._deployment(name)
        ]
        return changes + [Change("delete", f"work pool {name}") for name in self._pools()]

    def apply(self) -> None:
        """Delete the deployments and the work pools."""
        for name in deployed.names(self.prefect):
            if deployment_id := self._deployment(name):
                self.prefect.delete_deployment(deployment_id)
        for name in self._pools():
            self.prefect.delete_work_pool(name)

    def _deployment(self, name: str) -> UUID | None:
        try:
            return self.prefect.read_deployment_by_name(name).id
        except ObjectNotFound:
            return None

    def _pools(self) -> list[str]:
        names = {ECS_POOL, LOCAL_POOL}
        return sorted(pool.name for pool in self.prefect.read_work_pools() if pool.name in names)


@dataclass(frozen=True)
class RemoveResultsBlock:
    """The step that deletes the Prefect block of the results bucket."""

    block: ResultsBlock

    def plan(self) -> list[Change]:
        """Return the planned deletion if the block exists."""
        return [Change("delete", f"block {block_slug(self.block.name)}")] if self.block.document() else []

    def apply(self) -> None:
        """Delete the block."""
        self.block.remove()


@dataclass(frozen=True)
class RemoveTaskDefinitions:
    """The step that deregisters the ECS task definitions that the worker registered for runs."""

    account: Account

    def _arns(self) -> list[str]:
        pages = self.account.session.client("ecs", config=client_config()).get_paginator("list_task_definitions")
        active = pages.paginate(familyPrefix=self.account.project, status="ACTIVE")
        family = f":task-definition/{self.account.project}:"
        return [arn for page in active for arn in page["taskDefinitionArns"] if family in arn]

    def plan(self) -> list[Change]:
        """Return one planned change for all active task definitions of runs; an empty list if there are none."""
        arns = self._arns()
        return [Change("deregister", f"task definitions of {self.account.project}", tuple(arns))] if arns else []

    def apply(self) -> None:
        """Deregister the task definitions. AWS deletes deregistered task definitions later."""
        client = self.account.session.client("ecs", config=client_config())
        for arn in self._arns():
            client.deregister_task_definition(taskDefinition=arn)


@dataclass(frozen=True)
class EmptyBuckets:
    """The step that deletes every version of every object in the project's buckets."""

    account: Account

    def _buckets(self) -> "list[Bucket]":
        s3 = self.account.session.resource("s3", config=client_config())
        names = {self.account.bucket("instructions"), self.account.bucket("results")}
        return [bucket for bucket in s3.buckets.all() if bucket.name in names]

    def plan(self) -> list[Change]:
        """Return a planned deletion for each bucket that is not empty."""
        return [
            Change("delete for good", f"everything in bucket {bucket.name}")
            for bucket in self._buckets()
            if list(bucket.object_versions.limit(1))
        ]

    def apply(self) -> None:
        """Delete all objects in the buckets, with all their versions."""
        for bucket in self._buckets():
            bucket.object_versions.delete()


def removal(
    account: Account, prefect: SyncPrefectClient | None, secrets: list[str], *, delete_data: bool
) -> Iterator[Step]:
    """Yield the steps of `down`.

    The worker is removed before its work pool, and the roles are removed after everything that uses them.
    """
    yield RemoveStack(Stack(account, "worker"))
    if prefect:
        yield RemoveFromPrefect(prefect)
        yield RemoveResultsBlock(results_block(account, prefect))
    yield RemoveTaskDefinitions(account)
    for name in secrets:
        yield RemoveSecret(Secret(account, name))
    for kind in ("cluster", "registry", "roles"):
        yield RemoveStack(Stack(account, kind))
    if delete_data:
        yield EmptyBuckets(account)
    if delete_data or not EmptyBuckets(account).plan():
        yield RemoveStack(Stack(account, "data"))
