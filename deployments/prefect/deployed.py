"""The deployments that prefect.yaml describes. `prefect deploy` creates them on the Prefect server."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound
from prefect.flows import Flow, load_flow_from_entrypoint

from deployments.cli.errors import DeployFailed
from deployments.cli.project import PROJECT_DIRECTORY
from deployments.cli.step import Change

_DEFINITION: Final = PROJECT_DIRECTORY / "prefect.yaml"


def names() -> list[str]:
    """Return the full names, such as `implement/ecs`, of the deployments that prefect.yaml describes."""
    return [f"{d['entrypoint'].rpartition('.')[2]}/{d['name']}" for d in _definitions()]


def _definitions() -> list[dict[str, Any]]:
    return list(yaml.safe_load(_DEFINITION.read_text())["deployments"])


@dataclass(frozen=True)
class Deployments:
    """The step that creates or updates all deployments of prefect.yaml. They share one image."""

    prefect: SyncPrefectClient
    image: str

    @cached_property
    def version(self) -> str:
        """The version of the deployments.

        It is a digest of the image's address, prefect.yaml, and the flows' descriptions and parameter schemas.
        """
        content = [self.image, _DEFINITION.read_text()]
        for entrypoint in sorted({d["entrypoint"] for d in _definitions()}):
            flow: Flow[..., Any] = load_flow_from_entrypoint(entrypoint)
            content.append(json.dumps([flow.description, flow.parameters.model_dump(mode="json")], sort_keys=True))
        return hashlib.sha256("\n".join(content).encode()).hexdigest()[:12]

    def plan(self) -> list[Change]:
        """Return a planned change for each deployment that is missing on the server, or has another version there."""
        return [
            Change("update" if deployed_version else "create", f"deployment {name}", (f"image {self.image}",))
            for name in names()
            if (deployed_version := self._deployed_version(name)) != self.version
        ]

    def _deployed_version(self, name: str) -> str:
        try:
            return self.prefect.read_deployment_by_name(name).version or "none"
        except ObjectNotFound:
            return ""

    def apply(self) -> None:
        """Run `prefect deploy` for all deployments, without prompts."""
        variables = {
            "CLAUDE_CODE_IMAGE": self.image,
            "CLAUDE_CODE_VERSION": self.version,
            "CLAUDE_CODE_PYTHON": sys.executable,
            "PWD": str(PROJECT_DIRECTORY),
        }
        completed_process = subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
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
