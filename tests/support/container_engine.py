"""docker or podman, as far as these tests use them; they take the same arguments."""

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

# podman adds writable places that docker and Fargate do not have.
_READ_ONLY: Final = {"docker": ("--read-only",), "podman": ("--read-only", "--read-only-tmpfs=false")}


@dataclass(frozen=True)
class Engine:
    """What runs containers, and the image that it runs."""

    program: str
    image: str
    flags: tuple[str, ...]
    """What this host needs to run a container at all."""

    @classmethod
    def from_environment(cls) -> Self:
        """Take what `make test-image` found."""
        if not (program := os.environ.get("RUNNER", "")):
            pytest.fail("docker or podman is needed to run the image: install one, and start this by make test-image")
        # By its path: what is first on PATH under that name may be a test's stand-in, later on.
        path = shutil.which(program) or program
        return cls(path, os.environ["IMAGE"], tuple(shlex.split(os.environ.get("RUN_FLAGS", ""))))

    def call(self, *arguments: str) -> str:
        """Run one of the engine's commands; return what it prints on both streams."""
        # Where images are is read from the person's home, and the tests have one of their own.
        environment = {**os.environ, "HOME": str(REAL_HOME)}
        done = subprocess.run(
            [self.program, *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{self.program} {arguments[0]}: {done.stdout}"
        return done.stdout

    def save(self, archive: Path) -> Path:
        """Write the image, its configuration and history included, to a file."""
        self.call("save", "--output", str(archive), self.image)
        return archive

    @contextmanager
    def container(
        self, *command: str, environment: Mapping[str, str], read_only: bool = False
    ) -> Iterator["Container"]:
        """Start a container on the host's network, where the stack is; remove it and its volumes at the end."""
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
        """Run a command in the image to its end; return what it prints."""
        with self.container(*command, environment={}) as container:
            status, said = container.end()
        assert status == 0, said
        return said


@dataclass(frozen=True)
class Container:
    """One container, while it exists."""

    engine: Engine
    name: str

    def stop(self, grace_seconds: int) -> None:
        """Send SIGTERM, and SIGKILL after the grace."""
        self.engine.call("stop", f"--time={grace_seconds}", self.name)

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit status and what was printed."""
        status = self.engine.call("wait", self.name)
        return int(status), self.logs()

    def logs(self) -> str:
        """Return what was printed so far."""
        return self.engine.call("logs", self.name)
