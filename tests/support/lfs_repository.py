"""A git server with Git LFS, a repository whose files are partly in it, and the steps of a run on that repository."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from git import RemoteProgress
from pydantic import SecretStr

from deployments.local.git_remote import GitRemote
from deployments.local.lfs_storage import LfsStorage
from flows.parameters.addresses import RepoUrl
from flows.repository.clone import Checkout, clone
from flows.repository.collect import Change, CommitIdentity, collect
from flows.repository.credentials import GitCredentials
from flows.repository.remote import Remote
from flows.sandbox import commands
from flows.sandbox.workspace import Workspace

TOKEN: Final = "the-git-token"
NAME: Final = "team/r"
ATTRIBUTES: Final = "*.bin filter=lfs diff=lfs merge=lfs -text\n"
CONTENT: Final = bytes(range(256)) * 20
IDENTITY: Final = CommitIdentity("bot@example.com", datetime(2026, 11, 27, 12, tzinfo=UTC), "Implement\n")
_VARIABLES: Final = {f"GIT_{role}_{key}": "a@b" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}


@dataclass(frozen=True)
class LfsRepository:
    """A repository on a git server with Git LFS, and the steps of a run on it."""

    git: GitRemote
    storage: LfsStorage

    def remote(self, folder: Path) -> Remote:
        """Return the repository with the right token; `folder` is for temporary files."""
        credentials = GitCredentials(SecretStr(TOKEN), "bot@example.com", "u")
        return Remote(RepoUrl.parse(f"{self.git.url}/{NAME}.git"), credentials, folder)

    def clone(self, workspace: Workspace, *, lfs: bool = True) -> Checkout:
        """Fetch the repository, and create the agent's work tree."""
        return clone(
            workspace,
            self.remote(workspace.trusted),
            branch="new",
            base_branch="",
            depth=50,
            allow_default_branch=False,
            progress=RemoteProgress(),
            lfs=lfs,
        )

    def change(self, workspace: Workspace, script: str) -> Change:
        """Clone the repository, run a script as the agent, and return the collected change."""
        checkout = self.clone(workspace)
        as_agent(workspace, script)
        return collect(workspace, checkout, IDENTITY)

    def servers_with_token(self) -> set[str]:
        """Return the names of the servers that received the token in a header or an address."""
        servers = {"git": self.git, "storage": self.storage}
        return {
            name
            for name, server in servers.items()
            for request in server.requests
            if "authorization" in request.headers or TOKEN in f"{request.path} {request.headers}"
        }


@contextmanager
def lfs_repository(folder: Path, files: Mapping[str, str | bytes]) -> Iterator[LfsRepository]:
    """Serve a repository with files. The content of a file that is bytes is in Git LFS."""
    for name in ("seed", "served"):
        (folder / name).mkdir()
    with GitRemote(folder / "served", TOKEN) as git, LfsStorage() as storage:
        git.lfs = storage
        write_files(folder / "seed", storage, NAME, files)
        git.create(NAME, folder / "seed")
        yield LfsRepository(git, storage)


def write_files(seed: Path, storage: LfsStorage, name: str, files: Mapping[str, str | bytes]) -> None:
    """Write files of a repository's first commit. The content of a file that is bytes is in Git LFS."""
    for path, content in files.items():
        (seed / path).parent.mkdir(parents=True, exist_ok=True)
        (seed / path).write_text(content if isinstance(content, str) else storage.add(name, content))


def pointer_to(content: bytes) -> str:
    """Return the text of the pointer to an object."""
    oid = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"


def as_agent(workspace: Workspace, script: str) -> str:
    """Run a script as the agent, in the work tree, and return its output."""
    line = ["sh", "-ec", f"cd {workspace.work_tree}\n{script}"]
    result = commands.run(workspace, line, environment=_VARIABLES, beside_agent=True)
    return commands.check(result, "act as the agent").text
