"""Creates the Prefect work pools, which define where runs execute and which settings all runs in a pool share.

The ECS pool uses prefect-aws's base job template, with the AWS account's values as defaults. Four things are added to
the template: the sizes that Fargate allows, ephemeral storage, a stop timeout for tasks, and a root file system that is
read-only except for a volume at /tmp.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound
from prefect.workers.process import ProcessWorker
from prefect_aws.workers import ECSWorker

from deployments.cli.step import Change
from deployments.prefect.fargate import MEMORY_MIB, STORAGE_GIB

ECS_POOL: Final = "claude-code-ecs"
LOCAL_POOL: Final = "claude-code-local"
STOP_TIMEOUT_SECONDS: Final = 120  # Fargate's maximum, and the notice that a Spot interruption gives
_MAX_STOP_TIMEOUT_SECONDS: Final = 120
_CPU_UNITS: Final = 2048
_MEMORY_MIB: Final = 8192
_STORAGE_GIB: Final = 30  # the image takes about three of them
_SCRATCH: Final = {"name": "scratch"}  # the image sets its mode to 1777


def ecs_template(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ECS pool's base job template. `defaults` has default values for the template's variables, by name."""
    template = ECSWorker.get_default_base_job_template()
    properties = template["variables"]["properties"]
    properties |= _sizes()
    template["variables"]["allOf"] = [_memory_rule(cpu, memory) for cpu, memory in MEMORY_MIB.items()]
    properties["stop_timeout"] = {
        "title": "Stop timeout",
        "description": "How many seconds a task has to stop after SIGTERM, before it is killed.",
        "type": "integer",
        "default": STOP_TIMEOUT_SECONDS,
        "maximum": _MAX_STOP_TIMEOUT_SECONDS,
    }
    task_definition = template["job_configuration"]["task_definition"]
    task_definition["ephemeralStorage"] = {"sizeInGiB": "{{ ephemeral_storage }}"}
    task_definition["volumes"] = [_SCRATCH]
    task_definition["containerDefinitions"][0] |= {
        "stopTimeout": "{{ stop_timeout }}",
        "readonlyRootFilesystem": True,
        "mountPoints": [{"sourceVolume": _SCRATCH["name"], "containerPath": "/tmp", "readOnly": False}],  # noqa: S108
    }
    for name, value in defaults.items():
        properties[name]["default"] = value
    return template


def _sizes() -> dict[str, Any]:
    """Return the schemas of the variables that set the size of a task. The Prefect server checks runs against them."""
    return {
        "cpu": {
            "title": "CPU",
            "description": "CPU units of the task; 1024 units are one virtual CPU.",
            "type": "integer",
            "enum": list(MEMORY_MIB),
            "default": _CPU_UNITS,
        },
        "memory": {
            "title": "Memory",
            "description": "Memory of the task in MiB. Which sizes exist depends on the CPU: see docs/environment.md.",
            "type": "integer",
            "default": _MEMORY_MIB,
        },
        "ephemeral_storage": {
            "title": "Ephemeral storage",
            "description": "Disk of the task in GiB, for the image, the repository and what the agent writes.",
            "type": "integer",
            "default": _STORAGE_GIB,
            "minimum": STORAGE_GIB[0],
            "maximum": STORAGE_GIB[1],
        },
    }


def _memory_rule(cpu: int, sizes: Sequence[int]) -> dict[str, Any]:
    """Return the JSON schema of a rule: with this CPU, the memory has one of these sizes."""
    return {"if": {"properties": {"cpu": {"const": cpu}}}, "then": {"properties": {"memory": {"enum": list(sizes)}}}}


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
