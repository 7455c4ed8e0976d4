"""The local stack at the distance of another region: 30 ms before each response of S3, 20 ms before each of git."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deployments.local.git_remote import GitRemote
from deployments.local.loopback import Exchange, ReceivedRequest
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
"""The agent's work on every side: one file, and two instant replies."""


class FarGit(GitRemote):
    """The git server, with a delay of 20 ms for each request."""

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        """Wait, then answer."""
        time.sleep(GIT_DELAY_SECONDS)
        super().answer(request, exchange)


@dataclass(frozen=True)
class Region:
    """The running servers, and a directory for the files that the bench creates."""

    stack: LocalStack
    s3: FarS3
    git: FarGit
    directory: Path

    def environment(self) -> dict[str, str]:
        """Return the variables with which any side reaches the servers, without any variable of the user's account."""
        far = {"AWS_ENDPOINT_URL_S3": self.s3.url, "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.s3.url}
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.directory / "home"),
            "TMPDIR": str(self.directory / "tmp"),
            "NO_PROXY": "127.0.0.1,localhost",
            **self.stack.environment(),
            **far,
        }


@contextmanager
def region() -> Iterator[Region]:
    """Start all servers; stop them and remove their files at the end."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="claude-code-headless-bench-")))
        directory.chmod(0o711)
        for name, mode in (("home", 0o700), ("tmp", 0o711), ("git", 0o700)):
            (directory / name).mkdir(mode=mode)
        local_servers = stack.enter_context(local_stack())
        local_servers.model.script = JOB
        s3 = stack.enter_context(far_s3(local_servers.aws_url))
        git = stack.enter_context(FarGit(directory / "git", GIT_TOKEN))
        yield Region(local_servers, s3, git, directory)
