"""Builds and pushes container images with docker, podman or buildah, whichever works on this machine."""

import json
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from deployments.cli.errors import BuilderMissing, BuildFailed
from deployments.cli.project import PROJECT_DIRECTORY

_BUILDERS: Final = ("docker", "podman", "buildah")
_PROBE_SECONDS: Final = 20
_PLATFORM: Final = ("--platform", "linux/amd64")  # Fargate's default


class Builder(Protocol):
    """A program that builds and pushes images."""

    def build(self, name: str, target: str) -> None:
        """Build a target of the project's Dockerfile, and give the image this name."""

    def build_from(self, dockerfile: Path, name: str) -> None:
        """Build another Dockerfile, with its folder as the context, and give the image this name."""

    def configuration(self, name: str) -> dict[str, Any]:
        """Return the configuration of a local image: its user, its labels and so on."""

    def push(self, uri: str, registry: str, login: str) -> None:
        """Push the image to the registry; `login` is "user:password" for the registry, encoded in base64."""


@dataclass(frozen=True)
class CommandLineBuilder:
    """Builds and pushes images with the command line of docker, podman or buildah."""

    program: str

    def build(self, name: str, target: str) -> None:
        """Build a target of the project's Dockerfile for linux/amd64, and give the image this name."""
        flags = f"BUILD_FLAGS={shlex.join(_PLATFORM)}"
        options = [f"IMAGE={name}", f"IMAGE_TARGET={target}", f"BUILDER={self.program}", flags]
        _run(["make", "--no-print-directory", "-C", str(PROJECT_DIRECTORY), "image", *options], {})

    def build_from(self, dockerfile: Path, name: str) -> None:
        """Build another Dockerfile for linux/amd64, with its folder as the context, and give the image this name."""
        layers = ["--layers"] if Path(self.program).name == "buildah" else []
        options = [*layers, *_PLATFORM, "--tag", name, "--file", str(dockerfile)]
        _run([self.program, "build", *options, str(dockerfile.parent)], {})

    def configuration(self, name: str) -> dict[str, Any]:
        """Return the configuration of a local image: its user, its labels and so on."""
        if Path(self.program).name == "buildah":
            arguments = ["inspect", "--type", "image", "--format", "{{json .OCIv1.Config}}", name]
        else:
            arguments = ["image", "inspect", "--format", "{{json .Config}}", name]
        process = subprocess.run([self.program, *arguments], capture_output=True, text=True, check=False)
        if process.returncode:
            raise BuildFailed(f"{self.program} does not show the image {name}: {process.stderr.strip()}")
        return dict(json.loads(process.stdout))

    def push(self, uri: str, registry: str, login: str) -> None:
        """Push the image. Only a temporary file contains the login: no command line or configuration file does."""
        with tempfile.TemporaryDirectory(prefix="registry-login-") as folder:
            file = Path(folder) / "config.json"
            file.touch(mode=0o600)
            file.write_text(json.dumps({"auths": {registry: {"auth": login}}}))
            _run([self.program, "push", uri], {"DOCKER_CONFIG": folder, "REGISTRY_AUTH_FILE": str(file)})


def _run(command: list[str], variables: Mapping[str, str]) -> None:
    completed_process = subprocess.run(command, env={**os.environ, **variables}, check=False)
    if status := completed_process.returncode:
        raise BuildFailed(f"{shlex.join(command[:2])} failed with exit status {status}: see its output above")


def find_builder() -> Builder:
    """Return a builder for the first installed program that works. A docker client without its engine does not work."""
    for program in _BUILDERS:
        if shutil.which(program) and _works(program):
            return CommandLineBuilder(program)
    raise BuilderMissing(
        "neither docker, podman nor buildah works here: install one of them, or push the image from CI"
    )


def _works(program: str) -> bool:
    try:
        return not subprocess.run(
            [program, "info"], capture_output=True, check=False, timeout=_PROBE_SECONDS
        ).returncode
    except (OSError, subprocess.TimeoutExpired):
        return False
