"""A repository on a git server, and the steps of a run that verify changes of an agent to it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from git import RemoteProgress
from pydantic import SecretStr

from deployments.local.git_remote import GitRemote
from flows.parameters.addresses import RepoUrl
from flows.repository.clone import Checkout, clone
from flows.repository.collect import CommitIdentity, collect
from flows.repository.credentials import GitCredentials
from flows.repository.remote import Remote
from flows.repository.setup import SetupCommand, run_setup
from flows.sandbox.shell import run_script, shell_environment
from flows.sandbox.workspace import Workspace, workspace
from flows.verification.commands import VerifyCommands, parse_commands
from flows.verification.prepared import save_prepared
from flows.verification.results import CommandResult, Verification
from flows.verification.verify import Timeouts, verify_commit

IDENTITY: Final = CommitIdentity("bot@example.com", datetime(2026, 11, 28, 12, tzinfo=UTC), "Implement\n")


@dataclass
class VerifiedRun:
    """The directories of a run, in which an agent works and changes are verified."""

    workspace: Workspace
    checkout: Checkout
    setup: SetupCommand | None = None
    log: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of all commands."""
        return shell_environment(self.workspace.agent_variables, os.environ)

    def prepare(self, script: str, *, is_saved: bool = True) -> None:
        """Run a setup command, and save what it made."""
        self.setup = SetupCommand(script, "a test")
        run_setup(self.workspace, self.checkout, self.setup, self.environment, 60, self.log.append)
        if is_saved:
            assert save_prepared(self.workspace) == ""

    def agent(self, script: str) -> None:
        """Run commands as the agent."""
        output: list[bytes] = []
        result = run_script(self.workspace, script, self.environment, timeout_seconds=60, on_output=output.append)
        assert result.status == 0, b"".join(output).decode()

    def change(self, script: str = "") -> str:
        """Run commands as the agent, and return the commit with its change; the base commit if nothing is changed."""
        if script:
            self.agent(script)
        return collect(self.workspace, self.checkout, IDENTITY).commit or self.checkout.base_commit

    def verify(
        self,
        commands: str,
        commit: str = "",
        *,
        junit: tuple[str, ...] = (),
        seconds: float = 60,
        baseline: tuple[CommandResult, ...] | None = None,
    ) -> Verification:
        """Verify a commit, by default the base commit."""
        self.log.clear()
        return verify_commit(
            self.workspace,
            self.checkout,
            commit or self.checkout.base_commit,
            VerifyCommands(parse_commands(commands), junit, "a test"),
            self.setup,
            self.environment,
            Timeouts(60, seconds),
            self.log.append,
            baseline=baseline,
        )


@contextmanager
def verified_run(folder: Path, files: Mapping[str, str]) -> Iterator[VerifiedRun]:
    """Serve a repository with these files, and yield a run that has cloned the repository."""
    seed = folder / "seed"
    for path, content in files.items():
        (seed / path).parent.mkdir(parents=True, exist_ok=True)
        (seed / path).write_text(content)
    (folder / "served").mkdir()
    with GitRemote(folder / "served", "token") as server, workspace() as directories:
        server.create("r", seed)
        url = RepoUrl.parse(f"{server.url}/r.git")
        remote = Remote(url, GitCredentials(SecretStr("token"), "bot@example.com", "u"), directories.trusted)
        checkout = clone(
            directories,
            remote,
            branch="new",
            base_branch="",
            depth=50,
            allow_default_branch=False,
            progress=RemoteProgress(),
        )
        yield VerifiedRun(directories, checkout)
