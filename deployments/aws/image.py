"""The container image in ECR. docker, podman or buildah builds it; each tag is pushed once; runs use its digest."""

import base64
import json
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from botocore.exceptions import ClientError

from deployments.aws.account import Account
from deployments.cli.errors import BuilderMissing, BuildFailed, ImageMissing, ImageTagUnknown
from deployments.cli.project import PROJECT_DIRECTORY
from deployments.cli.step import Change
from flows.aws.session import client_config

_BUILDERS: Final = ("docker", "podman", "buildah")
_PROBE_SECONDS: Final = 20


class Builder(Protocol):
    """A program that builds and pushes images."""

    def build(self, uri: str) -> None:
        """Build the project's image, and give it the name `uri`."""

    def push(self, uri: str, registry: str, login: str) -> None:
        """Push the image to the registry; `login` is "user:password" for the registry, encoded in base64."""


@dataclass(frozen=True)
class CommandLineBuilder:
    """Builds and pushes images with the command line of docker, podman or buildah."""

    program: str

    def build(self, uri: str) -> None:
        """Build the image for linux/amd64, which is Fargate's default platform."""
        options = [f"IMAGE={uri}", f"BUILDER={self.program}", "BUILD_FLAGS=--platform linux/amd64"]
        _run(["make", "--no-print-directory", "-C", str(PROJECT_DIRECTORY), "image", *options], {})

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


def commit_tag() -> str:
    """Return the id of the current git commit, which is the default tag of the image.

    Raises:
        ImageTagUnknown: There is no commit, or there are uncommitted changes. These are refused, because a tag in the
            registry can never be moved to another image.
    """
    try:
        status, commit = _git("status", "--porcelain"), _git("rev-parse", "--short=12", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        raise ImageTagUnknown("this directory has no git commit whose id could be the image's tag: set --tag") from None
    if status:
        raise ImageTagUnknown("there are uncommitted changes: commit them, or set the image's tag with --tag")
    return commit


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(PROJECT_DIRECTORY), *arguments], capture_output=True, check=True, text=True
    ).stdout.strip()


@dataclass(frozen=True)
class Image:
    """The project's image with one tag, and the step that builds and pushes this image."""

    account: Account
    tag: str
    builder: Callable[[], Builder] = find_builder

    @property
    def uri(self) -> str:
        """The image's address in the registry, with its tag."""
        return f"{self.account.repository_uri}:{self.tag}"

    def digest(self) -> str:
        """Return the image's digest in the registry; "" if the registry does not have the image."""
        client = self.account.session.client("ecr", config=client_config())
        try:
            response = client.describe_images(repositoryName=self.account.project, imageIds=[{"imageTag": self.tag}])
        except ClientError as error:
            if error.response["Error"]["Code"] in {"ImageNotFoundException", "RepositoryNotFoundException"}:
                return ""
            raise
        return response["imageDetails"][0]["imageDigest"]

    def pinned(self) -> str:
        """Return the image's address with tag and digest; raise `ImageMissing` if the image is not in the registry."""
        if digest := self.digest():
            return f"{self.uri}@{digest}"
        raise ImageMissing(f"{self.uri} is not in the registry: run python -m deployments image --tag {self.tag}")

    def plan(self) -> list[Change]:
        """Return the planned build and push if the registry does not have the tag. An existing tag never changes."""
        return [] if self.digest() else [Change("build and push", f"image {self.uri}")]

    def apply(self) -> None:
        """Build and push the image."""
        builder = self.builder()
        builder.build(self.uri)
        client = self.account.session.client("ecr", config=client_config())
        login = client.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        base64.b64decode(login, validate=True)
        builder.push(self.uri, self.account.registry, login)
        self.pinned()
