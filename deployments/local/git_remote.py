"""A git server on the loopback interface. It runs git's `http-backend` behind basic authentication with a token."""

import base64
import os
import subprocess
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deployments.local.loopback import Exchange, LoopbackServer, ReceivedRequest

if TYPE_CHECKING:
    from deployments.local.lfs_storage import LfsStorage

_ISOLATED: Final = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "HOME": "/nonexistent"}
_IDENTITY: Final = ("-c", "user.name=Seed", "-c", "user.email=seed@example.com")


@dataclass(frozen=True)
class GitFault:
    """A failure of the next request whose path contains `path_holds`: an HTTP status, or 0 to drop the connection."""

    path_holds: str
    status: int = 0


def check_source(source: str) -> None:
    """Check with `git ls-remote` that git can read a repository. This is faster than a clone.

    Raises:
        RuntimeError: git cannot read the repository; the message contains git's error output.
    """
    _git(Path("/"), "ls-remote", "--quiet", source, "HEAD")


def _git(directory: Path, *arguments: str) -> str:
    """Run git without the configuration of the system and of the user; return git's standard output."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "GIT_TERMINAL_PROMPT": "0", **_ISOLATED}
    process = subprocess.run(
        ["git", *arguments], env=environment, cwd=directory, capture_output=True, check=False, text=True,
        errors="surrogateescape",
    )  # fmt: skip
    if process.returncode != 0:
        raise RuntimeError(f"git {' '.join(arguments)}: {process.stderr.strip()}")
    return process.stdout.strip()


class GitRemote(LoopbackServer):
    """A git server for the bare repositories in a directory. Clients need the token."""

    def __init__(self, root: Path, token: str) -> None:
        super().__init__()
        self.root, self.token = root, token
        self.faults: deque[GitFault] = deque()
        self.lfs: LfsStorage | None = None
        """The storage of the server's Git LFS; None for a server without Git LFS."""

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        """Check the token, then pass the request to `git http-backend`, unless a fault is set for the request."""
        if not self._is_authorized(request):
            exchange.reply(401, b"", {"www-authenticate": 'Basic realm="git"'})
        elif self.faults and self.faults[0].path_holds in request.path:
            status = self.faults.popleft().status
            exchange.reply(status, b"a scripted fault") if status else exchange.drop()
        elif self.lfs is not None and (name := self.lfs.repository_of(request.path)):
            self.lfs.answer_api(name, request, exchange)
        else:
            status, headers, body = self._backend(request)
            exchange.reply(status, body, headers)

    def _is_authorized(self, request: ReceivedRequest) -> bool:
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "basic" and base64.b64decode(value).decode().partition(":")[2] == self.token

    def _backend(self, request: ReceivedRequest) -> tuple[int, dict[str, str], bytes]:
        path, _, query = request.path.partition("?")
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            **_ISOLATED,
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": request.method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": request.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(request.body)),
            "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
            "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
            "REMOTE_USER": "token",
            "REMOTE_ADDR": "127.0.0.1",
        }
        output = subprocess.run(
            ["git", "http-backend"], input=request.body, env=environment, capture_output=True, check=False
        ).stdout
        head, _, body = output.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        return int(headers.pop("Status", "200").split()[0]), headers, body

    def create(self, name: str, files: Path | None = None) -> str:
        """Create a bare repository and return its URL.

        If the directory `files` is set, its files become the first commit on main.
        """
        bare = self.root / f"{name}.git"
        self.git(name, "init", "--quiet", "--bare", "--initial-branch=main", str(bare), in_repository=False)
        self.git(name, "config", "http.receivepack", "true")
        if files is not None:
            self.git(name, f"--work-tree={files}", "add", "--all", "--force", ".")
            tree = self.git(name, "write-tree")
            commit = self.git(name, *_IDENTITY, "commit-tree", tree, "-m", "First commit")
            self.git(name, "update-ref", "refs/heads/main", commit)
        return f"{self.url}/{name}.git"

    def copy(self, name: str, source: str) -> str:
        """Make a bare copy of a repository that git can clone; return the copy's URL."""
        self.git(name, "clone", "--quiet", "--bare", source, str(self.root / f"{name}.git"), in_repository=False)
        self.git(name, "config", "http.receivepack", "true")
        return f"{self.url}/{name}.git"

    def git(self, name: str, *arguments: str, in_repository: bool = True) -> str:
        """Run git in the repository `name`; return git's standard output."""
        options = [f"--git-dir={self.root / name}.git"] if in_repository else []
        return _git(self.root, *options, *arguments)
