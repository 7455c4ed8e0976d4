"""The deployments of prefect.yaml on the Prefect server, put there by `prefect deploy`."""

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
from prefect.flows import load_flow_from_entrypoint

from deployments.aws.image import PROJECT
from deployments.cli.errors import DeployFailed
from deployments.cli.step import Change

_DEFINITION: Final = PROJECT / "prefect.yaml"


def names() -> list[str]:
    """Return the full names of the deployments that prefect.yaml describes."""
    return [f"{entrypoint.rpartition('.')[2]}/{name}" for entrypoint, name in _described()]


def _described() -> list[tuple[str, str]]:
    """Return the entrypoint and the name of each deployment that prefect.yaml describes."""
    deployments = yaml.safe_load(_DEFINITION.read_text())["deployments"]
    return [(deployment["entrypoint"], deployment["name"]) for deployment in deployments]


def _forms() -> dict[str, Any]:
    """Return the parameter schema of each flow that is deployed, by its entrypoint."""
    entrypoints = sorted({entrypoint for entrypoint, _ in _described()})
    return {
        entrypoint: load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False).parameters.model_dump()
        for entrypoint in entrypoints
    }


@dataclass(frozen=True)
class Deployments:
    """All that prefect.yaml describes, with one image."""

    prefect: SyncPrefectClient
    image: str

    @cached_property
    def version(self) -> str:
        """A hash of all that the deployments are made of: the image, prefect.yaml and the flows' forms."""
        digest = hashlib.sha256(self.image.encode() + _DEFINITION.read_bytes())
        digest.update(json.dumps(_forms(), sort_keys=True).encode())
        return digest.hexdigest()[:12]

    def plan(self) -> list[Change]:
        """Compare their versions with the server's."""
        return [
            Change("update" if found else "create", f"deployment {name}", (f"image {self.image}",))
            for name in names()
            if (found := self._version(name)) != self.version
        ]

    def _version(self, name: str) -> str:
        try:
            return self.prefect.read_deployment_by_name(name).version or "none"
        except ObjectNotFound:
            return ""

    def apply(self) -> None:
        """Run `prefect deploy` as a person would, with no question asked."""
        variables = {
            "CLAUDE_CODE_IMAGE": self.image,
            "CLAUDE_CODE_VERSION": self.version,
            "CLAUDE_CODE_PYTHON": sys.executable,
            "PWD": str(PROJECT),
        }
        done = subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
            cwd=PROJECT,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DeployFailed(f"prefect deploy failed:\n{(done.stdout + done.stderr).strip()[-2000:]}")
