"""The container images in ECR: the project's image, and images that a user's own Dockerfile makes of it.

Each tag is built and pushed once. Runs use the digest.
"""

import base64
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from deployments.aws.account import Account
from deployments.aws.builder import Builder, find_builder
from deployments.cli.errors import ImageMissing, ImageTagUnknown, InvalidImage, InvalidParameter
from deployments.cli.project import PROJECT_DIRECTORY
from deployments.cli.step import Change
from flows.aws.session import client_config

LOCAL_NAME: Final = "claude-code-headless"
"""The name of the project's image on the machine that builds it. A Dockerfile of the user's own starts from it."""

_TITLE: Final = "org.opencontainers.image.title"
_FROM_PROJECT: Final = re.compile(rf"^\s*FROM\s(.*[\s/=])?{LOCAL_NAME}(?![\w.-])", re.IGNORECASE | re.MULTILINE)
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_ROOT: Final = {"", "root", "0", "0:0", "root:root"}


def commit_tag(folder: Path | None = None) -> str:
    """Return the id of the current git commit, which is the default tag of the image.

    Args:
        folder: A folder of the repository; None for the project's.

    Raises:
        ImageTagUnknown: There is no commit, or there are uncommitted changes. These are refused, because a tag in the
            registry can never be moved to another image.
    """
    folder = folder or PROJECT_DIRECTORY
    try:
        status, commit = _git(folder, "status", "--porcelain"), _git(folder, "rev-parse", "--short=12", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        raise ImageTagUnknown(
            f"{_directory(folder)} has no git commit whose id could be the image's tag: set --tag"
        ) from None
    if status:
        where = "" if folder == PROJECT_DIRECTORY else f" in {folder}"
        raise ImageTagUnknown(f"there are uncommitted changes{where}: commit them, or set the image's tag with --tag")
    return commit


def _directory(folder: Path) -> str:
    return "this directory" if folder == PROJECT_DIRECTORY else str(folder)


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, check=True, text=True
    ).stdout.strip()


@dataclass(frozen=True)
class Image:
    """An image with one tag, and the step that builds and pushes this image."""

    account: Account
    tag: str
    target: str = "full"
    """The target of the project's Dockerfile: `full`, or `slim`, which has no tools for the agent's work."""
    dockerfile: Path | None = None
    """The user's own Dockerfile, which starts from the project's image; None for the project's image itself."""
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
        slim = " --slim" if self.target == "slim" else ""
        raise ImageMissing(f"{self.uri} is not in the registry: run python -m deployments image{slim} --tag {self.tag}")

    def plan(self) -> list[Change]:
        """Return the planned build and push if the registry does not have the tag. An existing tag never changes."""
        return [] if self.digest() else [Change("build and push", f"image {self.uri}")]

    def apply(self) -> None:
        """Build and push the image."""
        builder = self.builder()
        if self.dockerfile:
            builder.build(LOCAL_NAME, self.target)
            builder.build_from(self.dockerfile, self.uri)
            check_configuration(self.dockerfile, builder.configuration(self.uri))
        else:
            builder.build(self.uri, self.target)
        client = self.account.session.client("ecr", config=client_config())
        login = client.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        base64.b64decode(login, validate=True)
        builder.push(self.uri, self.account.registry, login)
        self.pinned()


def project_image(account: Account, tag: str, *, slim: bool) -> Image:
    """Return the project's image. Without a tag, it has the current commit's id, and `-slim` for the slim target."""
    if slim:
        return Image(account, tag or f"{commit_tag()}-slim", "slim")
    return Image(account, tag or commit_tag())


def own_image(account: Account, name: str, dockerfile: Path, tag: str, *, slim: bool) -> Image:
    """Return the image that the user's own Dockerfile makes of the project's image.

    Without a tag, it has the name, the id of the project's commit, and the id of the Dockerfile's commit if the
    Dockerfile is in another repository.

    Raises:
        InvalidParameter: The name cannot be part of a tag, or there is no such file.
        InvalidImage: The Dockerfile does not start from the project's image.
        ImageTagUnknown: The project or the Dockerfile is not committed.
    """
    if not _NAME.fullmatch(name):
        raise InvalidParameter(
            f"--name {name!r} cannot name an image: use up to 40 lower-case letters, digits and hyphens, such as node22"
        )
    try:
        text = dockerfile.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidParameter(f"--from {dockerfile} cannot be read: {error}") from None
    if not _FROM_PROJECT.search(text):
        raise InvalidImage(f"{dockerfile} does not start from this project's image: write FROM {LOCAL_NAME}")
    commits = dict.fromkeys([commit_tag(), commit_tag(dockerfile.resolve().parent)]) if not tag else {}
    target = "slim" if slim else "full"
    parts = [name, *commits, *(["slim"] if slim else [])]
    return Image(account, tag or "-".join(parts), target, dockerfile.resolve())


def check_configuration(dockerfile: Path, configuration: dict[str, Any]) -> None:
    """Raise `InvalidImage` if a run could not work, or could not be isolated, in an image with this configuration."""
    labels, user = configuration.get("Labels") or {}, configuration.get("User") or ""
    if labels.get(_TITLE) != LOCAL_NAME:
        raise InvalidImage(
            f"the last stage of {dockerfile} is not based on this project's image: see FROM {LOCAL_NAME}"
        )
    if user not in _ROOT:
        raise InvalidImage(
            f"{dockerfile} sets USER {user}: end it with USER root, because only root can give the agent a user of "
            "its own"
        )
