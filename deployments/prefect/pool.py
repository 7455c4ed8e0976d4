"""The Prefect work pools: where runs go, and what all runs there have in common.

The ECS pool's base job template is prefect-aws's own, with the account's cluster, roles, network and logs as defaults,
and what it lacks: a task's stop timeout, and a root file system that is read-only but for a volume at /tmp.
"""

from dataclasses import dataclass
from typing import Any, Final

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound
from prefect.workers.process import ProcessWorker
from prefect_aws.workers import ECSWorker

from deployments.aws.account import Account
from deployments.aws.network import Network
from deployments.cli.step import Change
from deployments.prefect.results import block_slug

ECS_POOL: Final = "claude-code-ecs"
LOCAL_POOL: Final = "claude-code-local"
STOP_TIMEOUT_SECONDS: Final = 120  # the most that Fargate allows, and what a Spot interruption gives
_MAX_STOP_TIMEOUT_SECONDS: Final = 120
_SCRATCH: Final = {"name": "scratch"}  # the image makes its mode 1777


def ecs_template(account: Account, network: Network, api_secret: tuple[str, str] | None) -> dict[str, Any]:
    """Return the ECS pool's base job template.

    Args:
        account: Where the runs are.
        network: Where in its network.
        api_secret: The variable for the secret that opens the Prefect API, and the secret's ARN.
    """
    template = ECSWorker.get_default_base_job_template()
    properties = template["variables"]["properties"]
    properties["stop_timeout"] = {
        "title": "Stop timeout",
        "description": "Seconds that a task has to end after SIGTERM, before it is killed.",
        "type": "integer",
        "default": STOP_TIMEOUT_SECONDS,
        "maximum": _MAX_STOP_TIMEOUT_SECONDS,
    }
    _harden(template["job_configuration"]["task_definition"])
    secret = dict([api_secret] if api_secret else [])
    for name, value in (_defaults(account) | network.job_variables() | secret).items():
        properties[name]["default"] = value
    return template


def _harden(definition: dict[str, Any]) -> None:
    """Add what prefect-aws's task definition lacks."""
    definition["volumes"] = [_SCRATCH]
    definition["containerDefinitions"][0] |= {
        "stopTimeout": "{{ stop_timeout }}",
        "readonlyRootFilesystem": True,
        "mountPoints": [{"sourceVolume": _SCRATCH["name"], "containerPath": "/tmp", "readOnly": False}],  # noqa: S108
    }


def _defaults(account: Account) -> dict[str, Any]:
    return {
        "cluster": account.project,
        "family": account.project,
        "execution_role_arn": account.role("execution"),
        "task_role_arn": account.role("task"),
        # A job variable's own variables are added to these.
        "env": {"PREFECT_DEFAULT_RESULT_STORAGE_BLOCK": block_slug(account)},
        "match_latest_revision_in_family": True,  # or each restart of the worker would register one more
        "configure_cloudwatch_logs": True,
        "cloudwatch_logs_prefix": "run",
        # The group is CloudFormation's, with its retention; the role may not make another.
        "cloudwatch_logs_options": {"awslogs-group": account.project, "awslogs-create-group": "false"},
    }


def current_network(prefect: SyncPrefectClient) -> Network | None:
    """Return the network of the ECS pool that is there."""
    try:
        properties = prefect.read_work_pool(ECS_POOL).base_job_template["variables"]["properties"]
    except ObjectNotFound:
        return None
    vpc_id, network = (properties[name].get("default") for name in ("vpc_id", "network_configuration"))
    if not vpc_id or not network:
        return None
    public_ip = network["assignPublicIp"] == "ENABLED"
    return Network(vpc_id, tuple(network["subnets"]), tuple(network["securityGroups"]), public_ip)


def local_template() -> dict[str, Any]:
    """Return the process pool's base job template: Prefect's own."""
    return ProcessWorker.get_default_base_job_template()


@dataclass(frozen=True)
class Pool:
    """A work pool on the Prefect server."""

    prefect: SyncPrefectClient
    name: str
    type: str
    template: dict[str, Any]

    def _current(self) -> dict[str, Any] | None:
        try:
            return self.prefect.read_work_pool(self.name).base_job_template
        except ObjectNotFound:
            return None

    def plan(self) -> list[Change]:
        """Compare the base job template with the server's."""
        current = self._current()
        if current is None:
            return [Change("create", f"work pool {self.name} ({self.type})")]
        if current == self.template:
            return []
        return [Change("update", f"work pool {self.name}", self._differences(current))]

    def _differences(self, current: dict[str, Any]) -> tuple[str, ...]:
        old = current.get("variables", {}).get("properties", {})
        new = self.template["variables"]["properties"]
        changed = [n for n in sorted({*old, *new}) if old.get(n) != new.get(n)]
        return tuple(f"~ {n}: {old.get(n, {}).get('default')} → {new.get(n, {}).get('default')}" for n in changed) or (
            "~ job configuration",
        )

    def apply(self) -> None:
        """Create or update it."""
        if self._current() is None:
            self.prefect.create_work_pool(
                WorkPoolCreate(name=self.name, type=self.type, base_job_template=self.template)
            )
        else:
            self.prefect.update_work_pool(self.name, WorkPoolUpdate(base_job_template=self.template))
