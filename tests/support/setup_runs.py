"""Runs of a repository's setup, one after the other, which share a run store with the setup's cache."""

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from git import RemoteProgress
from prefect.filesystems import LocalFileSystem
from pydantic import SecretStr

from deployments.local.git_remote import GitRemote
from flows.parameters.addresses import RepoUrl
from flows.redaction import SECRETS
from flows.repository.clone import clone
from flows.repository.collect import CommitIdentity, collect
from flows.repository.credentials import GitCredentials
from flows.repository.remote import Remote
from flows.repository.setup import SetupCommand, run_setup
from flows.sandbox.shell import shell_environment
from flows.sandbox.workspace import workspace
from flows.state.setup_cache import run_with_cache
from flows.state.store import FileSystem

IDENTITY = CommitIdentity("bot@example.com", datetime(2026, 11, 27, 12, tzinfo=UTC), "Implement\n")
FILE = ".claude-code-headless.yaml"
CACHE = "cache: [deps, '~/.cache/tool']\nsetup: x\n"
SCRIPT = """
if [ -e deps/built ] && [ -e ~/.cache/tool/x ]; then echo warm; else echo cold; fi
mkdir -p deps ~/.cache/tool; echo built > deps/built; echo x > ~/.cache/tool/x; pwd > deps/path
"""


def _execute(line: list[str]) -> None:
    subprocess.run(line, check=True, capture_output=True)


class SetupRuns:
    """A repository on a git server, and runs of its setup that share a run store."""

    def __init__(self, server: GitRemote, store: Path) -> None:
        self.server = server
        self.store = store
        self.lines: list[str] = []
        self.cache = ""
        self.change: tuple[str, ...] = ()
        self.restarts = 0

    def git(self, *arguments: str) -> str:
        return self.server.git("r", *arguments)

    def commit(self, branch: str, files: dict[str, str]) -> None:
        """Commit files to a branch; a new branch starts from main."""
        folder = self.store.parent / "clone"
        if not folder.exists():
            _execute(["git", "clone", "-q", str(self.server.root / "r.git"), str(folder)])
        git = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@x"]
        start = branch if branch in self.git("branch", "--format=%(refname:short)").split() else "main"
        _execute([*git, "fetch", "-q", "origin"])
        _execute([*git, "checkout", "-q", "-B", branch, f"origin/{start}"])
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(content)
        _execute([*git, "add", "--all"])
        _execute([*git, "commit", "-qm", "x"])
        _execute([*git, "push", "-q", "origin", branch])

    def run(
        self,
        script: str = SCRIPT,
        branch: str = "new",
        base_branch: str = "",
        files: FileSystem | None = None,
    ) -> list[str]:
        """Run the setup in a new workspace; return the lines that the setup printed."""
        printed: list[str] = []
        self.lines.clear()
        with SECRETS.run_scope(), workspace() as directories:
            url = RepoUrl.parse(f"{self.server.url}/r.git")
            remote = Remote(url, GitCredentials(SecretStr("token"), "bot@example.com", "u"), directories.trusted)
            checkout = clone(
                directories,
                remote,
                branch=branch,
                base_branch=base_branch,
                depth=50,
                allow_default_branch=True,
                progress=RemoteProgress(),
            )
            environment = shell_environment(directories.agent_variables, os.environ)

            def setup() -> tuple[str, ...]:
                command = SetupCommand(script, "a test")
                return run_setup(directories, checkout, command, environment, 60, printed.append)

            files = files or LocalFileSystem(basepath=str(self.store))
            _, self.cache = run_with_cache(
                files, directories, checkout, url.url, script, setup, self.lines.append, self._restart_services
            )
            self.change = tuple(file.path for file in collect(directories, checkout, IDENTITY).files)
        return printed

    def _restart_services(self) -> None:
        self.restarts += 1

    def saved(self) -> dict[str, Path]:
        """Return the files of the cache in the run store, by name."""
        return {path.name: path for path in self.store.glob("claude-code-headless/caches/*/*")}
