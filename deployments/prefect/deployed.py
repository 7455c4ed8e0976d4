"""The deployments of prefect.yaml on the Prefect server, put there by `prefect deploy`."""

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Final

import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound

from deployments.aws.image import PROJECT
from deployments.cli.errors import DeployFailed
from deployments.cli.step import Change

_DEFINITION: Final = PROJECT / "prefect.yaml"
_SHAPES_THE_FORM: Final = (
    "flows/implement.py",
    "flows/deliver.py",
    "flows/parameters/form.py",
    "flows/parameters/request.py",
)


def names() -> list[str]:
    """Return the full names of the deployments that prefect.yaml describes."""
    described = yaml.safe_load(_DEFINITION.read_text())["deployments"]
    return [f"{d['entrypoint'].rpartition('.')[2]}/{d['name']}" for d in described]


@dataclass(frozen=True)
class Deployments:
    """All that prefect.yaml describes, with one image."""

    prefect: SyncPrefectClient
    image: str

    @property
    def version(self) -> str:
        """What the deployments were made of: other files or another image, another version."""
        digest = hashlib.sha256(self.image.encode())
        for path in (_DEFINITION, *(PROJECT / name for name in _SHAPES_THE_FORM)):
            digest.update(path.read_bytes())
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
