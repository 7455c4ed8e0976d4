"""The directories of one run.

<run>/trusted/       0700, ours: clean.git, the transcript, what the agent said on stderr
<run>/instructions/  ours, lent to the agent: read-only files
<run>/config/        ours, lent to the agent: Claude Code's settings and system prompt
<run>/agent/         0700, the agent's: its work tree, home and temporary files
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flows.sandbox.processes import no_process_outlives
from flows.sandbox.user import MARK, AgentUser, agent_user

_RESERVE_BYTES: Final = 32 * 2**20
_FULL_BYTES: Final = 2**20


@dataclass(frozen=True)
class Workspace:
    """Where one run works, and as whom its agent does."""

    root: Path
    agent: AgentUser

    @property
    def trusted(self) -> Path:
        """Ours alone."""
        return self.root / "trusted"

    @property
    def clean_git(self) -> Path:
        """The bare repository that the token's remote is fetched into and pushed from."""
        return self.trusted / "clean.git"

    @property
    def transcript(self) -> Path:
        """The agent's event stream, as it came."""
        return self.trusted / "transcript.jsonl"

    @property
    def instructions(self) -> Path:
        """The instruction files, readable by the agent."""
        return self.root / "instructions"

    @property
    def config(self) -> Path:
        """What we tell Claude Code by file, readable by the agent."""
        return self.root / "config"

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
    def agent_mark(self) -> dict[str, str]:
        """What every process of the agent has in its environment."""
        return {"HOME": str(self.home), "TMPDIR": str(self.tmp), MARK: self.agent.mark}

    def reachable_by_agent(self, program: Path) -> Path:
        """Return a path at which the agent's user can execute `program`: its own, or a link or copy among the run's."""
        if subprocess.run(self.agent.argv(["test", "-x", str(program)]), check=False).returncode == 0:
            return program
        here = self.root / "bin" / program.name
        here.parent.mkdir(mode=0o755, exist_ok=True)
        here.parent.chmod(0o755)
        if not here.exists():
            try:
                here.hardlink_to(program)
            except OSError:
                shutil.copy(program, here)
        return here

    @property
    def disk_is_full(self) -> bool:
        """Whether next to nothing more can be written where the run works."""
        return shutil.disk_usage(self.root).free < _FULL_BYTES

    def release_reserve(self) -> None:
        """Give back the room that was put by for keeping the work when the disk is full."""
        (self.trusted / "reserve").unlink(missing_ok=True)

    def lend(self, path: Path, content: bytes) -> Path:
        """Write a file that the agent may read."""
        path.write_bytes(content)
        self.agent.lend(path)
        return path


@contextmanager
def workspace() -> Iterator[Workspace]:
    """Make the directories of a run; at the end, whatever happened, end the agent's processes and remove them."""
    root = Path(tempfile.mkdtemp(prefix="claude-code-headless-"))
    try:
        with agent_user(mark=str(root)) as user, no_process_outlives():
            made = Workspace(root, user)
            try:
                _make_directories(made)
                yield made
            finally:
                user.end_processes()
                user.remove_left_files()
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _make_directories(made: Workspace) -> None:
    made.root.chmod(0o711)
    made.trusted.mkdir(mode=0o700)
    if hasattr(os, "posix_fallocate"):
        with suppress(OSError), (made.trusted / "reserve").open("wb") as reserve:
            os.posix_fallocate(reserve.fileno(), 0, _RESERVE_BYTES)
    for path in (made.instructions, made.config):
        path.mkdir(mode=0o700)
        made.agent.lend(path)
    for path in (made.work_tree, made.home, made.tmp):
        path.mkdir(mode=0o700, parents=True)
    made.agent.give(made.root / "agent")
    (made.root / "agent").chmod(0o700)
