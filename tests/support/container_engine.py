"""The commands of docker and podman that these tests use; both take the same arguments."""

import dataclasses
import os
import shlex
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import pytest

from tests.support.environment import REAL_HOME

# podman adds writable mounts that docker and Fargate do not have.
_READ_ONLY: Final = {"docker": ("--read-only",), "podman": ("--read-only", "--read-only-tmpfs=false")}


@dataclass(frozen=True)
class Engine:
    """A program that runs containers, and the image to run."""

    program: str
    image: str
    flags: tuple[str, ...]
    """The options that this host needs to run any container."""

    @classmethod
    def from_environment(cls) -> Self:
        """Read the engine, image and options that `make test-image` passes in the environment."""
        if not (program := os.environ.get("RUNNER", "")):
            pytest.fail("docker or podman is needed to run the image: install one, and use make test-image")
        # Resolve the path now: a test may later put a stand-in of the same name first on PATH.
        path = shutil.which(program) or program
        return cls(path, os.environ["IMAGE"], tuple(shlex.split(os.environ.get("RUN_FLAGS", ""))))

    def with_image(self, image: str) -> Self:
        """Return the same engine with another image."""
        return dataclasses.replace(self, image=image)

    def call(self, *arguments: str) -> str:
        """Run one of the engine's commands; return what it prints on both streams."""
        # The engine finds its images through the real home; the tests have a home of their own.
        environment = {**os.environ, "HOME": str(REAL_HOME)}
        completed_process = subprocess.run(
            [self.program, *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert completed_process.returncode == 0, f"{self.program} {arguments[0]}: {completed_process.stdout}"
        return completed_process.stdout

    def save(self, archive: Path) -> Path:
        """Save the image, with its configuration and history, to a file."""
        self.call("save", "--output", str(archive), self.image)
        return archive

    @contextmanager
    def container(
        self, *command: str, environment: Mapping[str, str], read_only: bool = False
    ) -> Iterator["Container"]:
        """Start a container on the host's network, where the stack listens; remove it and its volumes at the end."""
        name = f"claude-code-headless-test-{uuid.uuid4().hex[:8]}"
        variables = [f"--env={name}={value}" for name, value in environment.items()]
        options = ["--detach", f"--name={name}", "--network=host", *self.flags, *variables]
        if read_only:
            options += _READ_ONLY[Path(self.program).name]
        try:
            self.call("run", *options, self.image, *command)
            yield Container(self, name)
        finally:
            self.call("rm", "--force", "--volumes", name)

    def output(self, *command: str) -> str:
        """Run a command in the image until it exits; return what it prints."""
        with self.container(*command, environment={}) as container:
            status, output = container.wait_for_exit()
        assert status == 0, output
        return output


@dataclass(frozen=True)
class Container:
    """A running container."""

    engine: Engine
    name: str

    def stop(self, grace_seconds: int) -> None:
        """Send SIGTERM, and SIGKILL after the grace period."""
        self.engine.call("stop", f"--time={grace_seconds}", self.name)

    def wait_for_exit(self) -> tuple[int, str]:
        """Wait until the container exits; return the exit status and the output."""
        status = self.engine.call("wait", self.name)
        return int(status), self.logs()

    def logs(self) -> str:
        """Return the output so far."""
        return self.engine.call("logs", self.name)
