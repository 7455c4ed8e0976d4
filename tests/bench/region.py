"""The local stack as from a region away: 30 ms before each answer of S3, 20 ms before each of the git server."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deployments.local.git_remote import GitRemote
from deployments.local.loopback import Asked, Exchange
from deployments.local.scripted_model import Script, Tool, Turn
from deployments.local.stack import GIT_TOKEN, LocalStack, local_stack
from tests.bench.far_s3 import FarS3, far_s3

GIT_DELAY_SECONDS: Final = 0.02
JOB: Final = Script(
    (
        Turn("I write.", (Tool("Write", {"file_path": "{cwd}/hello.txt", "content": "hello\n"}),)),
        Turn("I have written hello.txt."),
    )
)
"""The work of every side: one file, and two instant answers."""


class FarGit(GitRemote):
    """The git server, 20 ms away for each request."""

    def answer(self, asked: Asked, exchange: Exchange) -> None:
        """Wait, and answer."""
        time.sleep(GIT_DELAY_SECONDS)
        super().answer(asked, exchange)


@dataclass(frozen=True)
class Region:
    """The running servers, and a place for what the bench makes."""

    stack: LocalStack
    s3: FarS3
    git: FarGit
    place: Path

    def environment(self) -> dict[str, str]:
        """Return the variables with which any side finds the servers, and nothing of the person's."""
        far = {"AWS_ENDPOINT_URL_S3": self.s3.url, "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.s3.url}
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.place / "home"),
            "TMPDIR": str(self.place / "tmp"),
            "NO_PROXY": "127.0.0.1,localhost",
            **self.stack.environment(),
            **far,
        }


@contextmanager
def region() -> Iterator[Region]:
    """Start everything; end it, and remove what was made, with the context."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="claude-code-headless-bench-")))
        place.chmod(0o711)
        for name, mode in (("home", 0o700), ("tmp", 0o711), ("git", 0o700)):
            (place / name).mkdir(mode=mode)
        local = stack.enter_context(local_stack())
        local.model.script = JOB
        s3 = stack.enter_context(far_s3(local.aws_url))
        git = stack.enter_context(FarGit(place / "git", GIT_TOKEN))
        yield Region(local, s3, git, place)
