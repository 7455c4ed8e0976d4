"""Creates the Prefect work pools, which define where runs execute and which settings all runs in a pool share.

The ECS pool uses prefect-aws's base job template, with the AWS account's values as defaults. Two things are added to
the template: a stop timeout for tasks, and a root file system that is read-only except for a volume at /tmp.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound
from prefect.workers.process import ProcessWorker
from prefect_aws.workers import ECSWorker

from deployments.cli.step import Change

ECS_POOL: Final = "claude-code-ecs"
LOCAL_POOL: Final = "claude-code-local"
STOP_TIMEOUT_SECONDS: Final = 120  # Fargate's maximum, and the notice that a Spot interruption gives
_MAX_STOP_TIMEOUT_SECONDS: Final = 120
_SCRATCH: Final = {"name": "scratch"}  # the image sets its mode to 1777


def ecs_template(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ECS pool's base job template. `defaults` has default values for the template's variables, by name."""
    template = ECSWorker.get_default_base_job_template()
    properties = template["variables"]["properties"]
    properties["stop_timeout"] = {
        "title": "Stop timeout",
        "description": "How many seconds a task has to stop after SIGTERM, before it is killed.",
        "type": "integer",
        "default": STOP_TIMEOUT_SECONDS,
        "maximum": _MAX_STOP_TIMEOUT_SECONDS,
    }
    task_definition = template["job_configuration"]["task_definition"]
    task_definition["volumes"] = [_SCRATCH]
    task_definition["containerDefinitions"][0] |= {
        "stopTimeout": "{{ stop_timeout }}",
        "readonlyRootFilesystem": True,
        "mountPoints": [{"sourceVolume": _SCRATCH["name"], "containerPath": "/tmp", "readOnly": False}],  # noqa: S108
    }
    for name, value in defaults.items():
        properties[name]["default"] = value
    return template


def local_template() -> dict[str, Any]:
    """Return the base job template of the local process pool, which is Prefect's default template."""
    return ProcessWorker.get_default_base_job_template()


@dataclass(frozen=True)
class Pool:
    """The step that creates or updates a work pool on the Prefect server."""

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
        """Return the planned creation or update if the server has no such pool, or has another base job template."""
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
        """Create or update the work pool."""
        if self._current() is None:
            self.prefect.create_work_pool(
                WorkPoolCreate(name=self.name, type=self.type, base_job_template=self.template)
            )
        else:
            self.prefect.update_work_pool(self.name, WorkPoolUpdate(base_job_template=self.template))
