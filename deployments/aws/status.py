"""Collects the state of all resources of the set-up in one table."""

from collections.abc import Iterator

from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound
from rich.table import Table

from deployments.aws.account import PREFECT_SECRET, Account
from deployments.aws.secret import Secret
from deployments.aws.stack import Stack
from deployments.prefect import deployed
from deployments.prefect.pool import ECS_POOL, LOCAL_POOL
from flows.aws.session import client_config

STACKS = ("data", "registry", "cluster", "roles", "worker")


def table(account: Account, prefect: SyncPrefectClient | None, git_secret: str) -> Table:
    """Return a table of the resources that `up` creates, with the state of each resource."""
    rows = Table(
        "resource", "state", title=f"{account.project} in {account.account_id}, {account.region}", title_justify="left"
    )
    for name, state in (*_aws(account, git_secret), *_prefect(prefect)):
        rows.add_row(name, state or "[yellow]missing[/yellow]")
    return rows


def _aws(account: Account, git_secret: str) -> Iterator[tuple[str, str]]:
    yield f"secret {git_secret}", "exists" if Secret(account, git_secret).arn() else ""
    yield (
        f"secret {PREFECT_SECRET}",
        "exists" if Secret(account, PREFECT_SECRET).arn() else "none; only needed with authentication",
    )
    for kind in STACKS:
        stack = Stack(account, kind)
        description = stack.describe()
        yield f"stack {stack.name}", description["StackStatus"] if description else ""
    yield "images", _images(account)
    yield "worker", _worker(account)


def _images(account: Account) -> str:
    if Stack(account, "registry").describe() is None:
        return ""
    pages = account.session.client("ecr", config=client_config()).get_paginator("describe_images")
    images = [image for page in pages.paginate(repositoryName=account.project) for image in page["imageDetails"]]
    newest = max(images, key=lambda image: image["imagePushedAt"], default=None)
    return f"{len(images)}, the newest is {', '.join(newest.get('imageTags', ['untagged']))}" if newest else ""


def _worker(account: Account) -> str:
    if Stack(account, "worker").describe() is None:
        return ""
    ecs = account.session.client("ecs", config=client_config())
    services = ecs.describe_services(cluster=account.project, services=[f"{account.project}-worker"])["services"]
    return f"{services[0]['runningCount']} of {services[0]['desiredCount']} running" if services else ""


def _prefect(prefect: SyncPrefectClient | None) -> Iterator[tuple[str, str]]:
    if prefect is None:
        yield "Prefect API", "[yellow]not configured, or does not answer[/yellow]"
        return
    for name in (ECS_POOL, LOCAL_POOL):
        try:
            status = prefect.read_work_pool(name).status
            yield f"work pool {name}", status.value.replace("_", " ").lower() if status else "exists"
        except ObjectNotFound:
            yield f"work pool {name}", ""
    for name in deployed.names(prefect):
        try:
            yield f"deployment {name}", f"version {prefect.read_deployment_by_name(name).version}"
        except ObjectNotFound:
            yield f"deployment {name}", ""
