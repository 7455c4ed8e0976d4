"""The deployments of prefect.yaml, and of images of the user's own. `prefect deploy` creates them on the server."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.exceptions import ObjectNotFound
from prefect.flows import Flow, load_flow_from_entrypoint

from deployments.cli.errors import DeployFailed
from deployments.cli.project import PROJECT_DIRECTORY
from deployments.cli.step import Change

_DEFINITION: Final = PROJECT_DIRECTORY / "prefect.yaml"


_OWN_IMAGE: Final = "own-image"
"""The tag of a deployment that runs in an image of the user's own."""


def names(prefect: SyncPrefectClient) -> list[str]:
    """Return the full names, such as `implement/ecs`, of all deployments of this project.

    These are the deployments that prefect.yaml describes, and those on the server that run in an image of one's own.
    """
    own = prefect.read_deployments(deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=[_OWN_IMAGE])))
    return [*map(_full_name, _file()["deployments"]), *sorted(f"implement/{deployment.name}" for deployment in own)]


def _file() -> dict[str, Any]:
    return dict(yaml.safe_load(_DEFINITION.read_text()))


def _full_name(definition: Mapping[str, Any]) -> str:
    return f"{definition['entrypoint'].rpartition('.')[2]}/{definition['name']}"


@dataclass(frozen=True)
class Deployments:
    """The step that creates or updates all deployments of prefect.yaml. They share one image."""

    prefect: SyncPrefectClient
    image: str

    @cached_property
    def file(self) -> dict[str, Any]:
        """The contents of the file from which `prefect deploy` creates the deployments."""
        return _file()

    @cached_property
    def version(self) -> str:
        """The version of the deployments.

        It is a digest of the image's address, the file, and the flows' descriptions and parameter schemas.
        """
        content = [self.image, json.dumps(self.file, sort_keys=True)]
        for entrypoint in sorted({d["entrypoint"] for d in self.file["deployments"]}):
            flow: Flow[..., Any] = load_flow_from_entrypoint(entrypoint)
            content.append(json.dumps([flow.description, flow.parameters.model_dump(mode="json")], sort_keys=True))
        return hashlib.sha256("\n".join(content).encode()).hexdigest()[:12]

    def plan(self) -> list[Change]:
        """Return a planned change for each deployment that is missing on the server, or has another version there."""
        return [
            Change("update" if deployed_version else "create", f"deployment {name}", (f"image {self.image}",))
            for name in map(_full_name, self.file["deployments"])
            if (deployed_version := self._deployed_version(name)) != self.version
        ]

    def _deployed_version(self, name: str) -> str:
        try:
            return self.prefect.read_deployment_by_name(name).version or "none"
        except ObjectNotFound:
            return ""

    def apply(self) -> None:
        """Run `prefect deploy` for all deployments of the file, without prompts."""
        variables = {
            "CLAUDE_CODE_IMAGE": self.image,
            "CLAUDE_CODE_VERSION": self.version,
            "CLAUDE_CODE_PYTHON": sys.executable,
            "PWD": str(PROJECT_DIRECTORY),
        }
        with tempfile.TemporaryDirectory(prefix="prefect-deploy-") as folder:
            file = Path(folder) / "prefect.yaml"
            file.write_text(yaml.safe_dump(self.file, allow_unicode=True))
            completed_process = subprocess.run(
                [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)],
                cwd=PROJECT_DIRECTORY,
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        if completed_process.returncode:
            output = completed_process.stdout + completed_process.stderr
            raise DeployFailed(f"prefect deploy failed:\n{output.strip()[-2000:]}")


@dataclass(frozen=True)
class OwnImageDeployment(Deployments):
    """The step that creates or updates `implement/ecs-NAME`: `implement/ecs` with an image of the user's own."""

    name: str
    job_variables: Mapping[str, Any] = field(default_factory=dict)
    """Job variables that differ from those of `implement/ecs`."""

    @cached_property
    def file(self) -> dict[str, Any]:
        """The contents of a file with this deployment alone."""
        file = _file()
        ecs = next(d for d in file["deployments"] if _full_name(d) == "implement/ecs")
        pool = {**ecs["work_pool"], "job_variables": {**ecs["work_pool"]["job_variables"], **self.job_variables}}
        own = {
            "name": f"ecs-{self.name}",
            "description": f"Runs on AWS Fargate in the image {self.name}, when it is started.",
            "tags": [*ecs["tags"], _OWN_IMAGE],
            "work_pool": pool,
        }
        return {**file, "deployments": [{**ecs, **own}]}
