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
from prefect.flows import Flow, load_flow_from_entrypoint

from deployments.cli.errors import DeployFailed
from deployments.cli.project import PROJECT_DIRECTORY
from deployments.cli.step import Change

_DEFINITION: Final = PROJECT_DIRECTORY / "prefect.yaml"


def names() -> list[str]:
    """Return the full names of the deployments that prefect.yaml describes."""
    return [f"{d['entrypoint'].rpartition('.')[2]}/{d['name']}" for d in _described()]


def _described() -> list[dict[str, Any]]:
    return list(yaml.safe_load(_DEFINITION.read_text())["deployments"])


def _form(entrypoint: str) -> str:
    """Return what the server stores of the flow itself: its description and the schema of its parameters."""
    flow: Flow[..., Any] = load_flow_from_entrypoint(entrypoint)
    return json.dumps([flow.description, flow.parameters.model_dump(mode="json")], sort_keys=True)


@dataclass(frozen=True)
class Deployments:
    """All deployments of prefect.yaml, with one image."""

    prefect: SyncPrefectClient
    image: str

    @cached_property
    def version(self) -> str:
        """A digest of prefect.yaml, the image, and the forms of the flows."""
        forms = [_form(entrypoint) for entrypoint in sorted({d["entrypoint"] for d in _described()})]
        content = "\n".join([self.image, _DEFINITION.read_text(), *forms])
        return hashlib.sha256(content.encode()).hexdigest()[:12]

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
        """Run `prefect deploy` without its questions."""
        variables = {
            "CLAUDE_CODE_IMAGE": self.image,
            "CLAUDE_CODE_VERSION": self.version,
            "CLAUDE_CODE_PYTHON": sys.executable,
            "PWD": str(PROJECT_DIRECTORY),
        }
        done = subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
            cwd=PROJECT_DIRECTORY,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DeployFailed(f"prefect deploy failed:\n{(done.stdout + done.stderr).strip()[-2000:]}")
