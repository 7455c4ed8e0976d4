"""Creates and removes the directories of one run.

<run>/trusted/       0700, owned by the flow's process: clean.git, the transcript, the agent's stderr
<run>/instructions/  owned by the flow's process, readable by the agent: the instruction files
<run>/config/        owned by the flow's process, readable by the agent: Claude Code's settings and system prompt
<run>/agent/         0700, owned by the agent: the agent's work tree, home and temporary files
<run>/services/      0700, owned by the services' user: a folder for each service; only if the run has services
<run>/lfs/           0700, owned by the agent: the objects of Git LFS, if the run fetches them
<run>/claude/        0700, owned by the agent: Claude Code's configuration folder, new for each of its processes
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from flows.sandbox.account import Account, account
from flows.sandbox.processes import kill_tracked_processes
from flows.sandbox.run_folder import run_folder
from flows.sandbox.user import MARK, AgentUser, agent_user, end_agents_of_killed_run, is_claimed

_RESERVE_BYTES: Final = 32 * 2**20
_FULL_BYTES: Final = 2**20


@dataclass(frozen=True)
class Workspace:
    """The directories of one run, and the user that its agent runs as."""

    root: Path
    agent: AgentUser
    account: Account = field(default_factory=Account)
    """The name of the agent's user."""

    @property
    def trusted(self) -> Path:
        """The directory that the flow's process can read, but the agent cannot."""
        return self.root / "trusted"

    @property
    def clean_git(self) -> Path:
        """The trusted repository, which is bare. The run fetches from the remote into it, and pushes from it."""
        return self.trusted / "clean.git"

    @property
    def transcript(self) -> Path:
        """The file to which the agent's event stream, in JSON lines, is written unchanged."""
        return self.trusted / "transcript.jsonl"

    @property
    def instructions(self) -> Path:
        """The directory of the instruction files, which the agent can read."""
        return self.root / "instructions"

    @property
    def config(self) -> Path:
        """The directory of Claude Code's settings and system prompt, which the agent can read."""
        return self.root / "config"

    @property
    def claude_folder(self) -> Path:
        """Claude Code's configuration folder. Only the flow's process can create it, because `root` is its own."""
        return self.root / "claude"

    @property
    def services(self) -> Path:
        """The folder of the services' user. Only the flow's process can create it."""
        return self.root / "services"

    @property
    def work_tree(self) -> Path:
        """The agent's checkout of the repository."""
        return self.root / "agent" / "work-tree"

    @property
    def home(self) -> Path:
        """The agent's home directory."""
        return self.root / "agent" / "home"

    @property
    def tmp(self) -> Path:
        """The agent's directory for temporary files."""
        return self.root / "agent" / "tmp"

    @property
    def agent_variables(self) -> dict[str, str]:
        """The environment variables that every process of the agent has."""
        directories = {"HOME": str(self.home), "TMPDIR": str(self.tmp)}
        return {**directories, **self.account.variables(self.home), MARK: self.agent.mark}

    def reachable_by_agent(self, program: Path) -> Path:
        """Return a path at which the agent can execute `program`: its own path, or a hard link or copy in `root`."""
        if self.agent.can(["test", "-x", str(program)]):
            return program
        link = self.root / "bin" / program.name
        link.parent.mkdir(mode=0o755, exist_ok=True)
        link.parent.chmod(0o755)
        if not link.exists():
            try:
                link.hardlink_to(program)
            except OSError:
                shutil.copy(program, link)
        return link

    @property
    def disk_is_full(self) -> bool:
        """Whether less than 1 MiB is free on the disk that holds the run's directories."""
        return shutil.disk_usage(self.root).free < _FULL_BYTES

    def release_reserve(self) -> None:
        """Remove the reserve, a file of 32 MiB, so that the agent's work can be saved although the disk is full."""
        (self.trusted / "reserve").unlink(missing_ok=True)

    def lend(self, path: Path, content: bytes) -> Path:
        """Write a file that the agent may read but not change; return its path."""
        path.write_bytes(content)
        self.agent.lend(path)
        return path


@contextmanager
def workspace() -> Iterator[Workspace]:
    """Yield a run's new directories. At the end, even after an error, kill the agent and remove the directories."""
    with (
        run_folder(end_agents_of_killed_run) as root,
        agent_user(mark=mark_of(root)) as user,
        account(user.uid, Workspace(root, user).home, is_claimed) as own_account,
        kill_tracked_processes(),
    ):
        directories = Workspace(root, user, own_account)
        try:
            if user.uid is None:
                user.end_processes()  # A killed run may have left some that work in this folder.
            _make_directories(directories)
            yield directories
        finally:
            user.end_processes()
            user.remove_leftover_files()


def mark_of(root: Path) -> str:
    """Return the mark of the processes of a run: that of an earlier run only if it was killed and had this folder.

    Where a service of systemd has a /tmp of its own, another run on this machine may have a folder with the same path.
    """
    status = root.stat()
    return f"{root}:{status.st_dev}:{status.st_ino}"


def _make_directories(directories: Workspace) -> None:
    directories.root.chmod(0o711)
    directories.trusted.mkdir(mode=0o700)
    if hasattr(os, "posix_fallocate"):
        with suppress(OSError), (directories.trusted / "reserve").open("wb") as reserve:
            os.posix_fallocate(reserve.fileno(), 0, _RESERVE_BYTES)
    for path in (directories.instructions, directories.config):
        path.mkdir(mode=0o700)
        directories.agent.lend(path)
    make_agent_directories(directories)


def make_agent_directories(directories: Workspace) -> None:
    """Create the agent's work tree, home and directory for temporary files, which must not exist."""
    for path in (directories.work_tree, directories.home, directories.tmp):
        path.mkdir(mode=0o700, parents=True)
    directories.agent.give(directories.root / "agent")
    (directories.root / "agent").chmod(0o700)
