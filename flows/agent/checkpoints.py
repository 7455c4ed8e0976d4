"""Checkpoints: the work so far, saved while the agent works, without getting in its way."""

import threading
from dataclasses import dataclass, field, replace
from tempfile import TemporaryFile
from typing import Final, Self

from flows.agent.session import Agent, Logger
from flows.errors import RunError, StoreUnavailable, Superseded
from flows.redaction import SECRETS
from flows.repository import snapshot
from flows.sandbox import commands
from flows.sandbox.workspace import Workspace
from flows.state.records import Checkpoint, Plan
from flows.state.saved_run import SavedRun

MAX_BYTES: Final = 512 * 2**20
"""The largest bundle or conversation that a checkpoint saves."""

_ATTEMPTS: Final = 3
_LEASE_CHECK_SECONDS: Final = 60
"""How often to check the lease if no checkpoints are written."""

_SESSION_FOLDER: Final = ".claude/projects"


@dataclass
class Checkpoints:
    """Writes checkpoints of a run's work every few seconds while the context is open.

    If a later attempt of the run takes the lease, the agent is ended.

    Args:
        interval_seconds: How often to look at the work; 0 for never. Nothing is written if nothing changed.
    """

    workspace: Workspace
    saved: SavedRun
    plan: Plan
    agent: Agent
    interval_seconds: float
    logger: Logger

    _last: Checkpoint | None = None
    """The newest checkpoint, with the conversation as it was read."""
    _is_over: threading.Event = field(default_factory=threading.Event)
    _is_looking: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        self._last = self.saved.checkpoint
        self._thread = threading.Thread(target=self._write_until_over, name="checkpoints", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        if self._is_looking.locked():
            # The agent is done. A process that it left running could hold up a look at its tree.
            self.workspace.agent.end_processes()
        self._thread.join()

    def write(self) -> None:
        """Save the work as it is now, unless the last checkpoint has it already; an error becomes a warning."""
        try:
            self._write()
        except (RunError, OSError) as error:
            self.logger.warning("no checkpoint this time: %s", error)

    def _write_until_over(self) -> None:
        while not self._is_over.wait(self.interval_seconds or _LEASE_CHECK_SECONDS):
            with self._is_looking:
                if self._is_over.is_set():
                    return
                try:
                    self._check_and_write()
                except Superseded:
                    self.workspace.agent.end_processes()
                    return
                except Exception as error:  # noqa: BLE001 (the next checkpoint may succeed, whatever went wrong)
                    self.logger.warning("no checkpoint this time: %s", error)

    def _check_and_write(self) -> None:
        self.saved.store.without_retries.check_lease()
        if self.interval_seconds:
            self._write()

    def _write(self) -> None:
        base, last = self.plan.checkout.base_commit, self._last
        commit, session = self._tree_and_conversation(base)
        if last and (last.commit, last.session) == (commit, session):
            return
        bundle = b"" if commit == base else snapshot.bundled(self.workspace, base)
        if max(len(bundle), len(session)) > MAX_BYTES:
            raise StoreUnavailable(f"the work so far is over {MAX_BYTES >> 20} MiB, the most that a checkpoint saves")
        number = last.number + 1 if last else 0
        checkpoint = Checkpoint(number, commit, self.agent.meter.spending, self.agent.session_id, bundle, session)
        self.saved.save_checkpoint(replace(checkpoint, session=SECRETS.redact_bytes(session)))
        self._last = checkpoint

    def _tree_and_conversation(self, base: str) -> tuple[str, bytes]:
        """Return commit and conversation of one moment; if the agent is too quick, the tree is the newer of the two.

        Then the agent at worst repeats a step, and sees its result in the files. Otherwise a step would be missing.
        """
        for _ in range(_ATTEMPTS):
            session = read_session(self.workspace, self.agent.session_id)
            commit = snapshot.take(self.workspace, base)
            if read_session(self.workspace, self.agent.session_id) == session:
                break
        return commit, session


def read_session(workspace: Workspace, session_id: str) -> bytes:
    """Return Claude Code's record of the conversation, read as the agent, who owns it; empty if there is none."""
    folder = workspace.home / _SESSION_FOLDER
    find = ["find", str(folder), "-name", f"{session_id}.jsonl", "-type", "f", "-size", f"-{MAX_BYTES}c"]
    lines = commands.run(workspace, [*find, "-exec", "cat", "{}", "+"], beside_agent=True).stdout
    return lines[: lines.rfind(b"\n") + 1]  # Claude Code may still be writing the last one


def write_session(workspace: Workspace, session_id: str, content: bytes) -> None:
    """Put the record of a conversation where Claude Code looks for it; raise `CommandFailed` if that fails."""
    folder = workspace.home / _SESSION_FOLDER / "-restored"
    with TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        script = 'mkdir -p "$1" && cat > "$1/$2.jsonl"'
        line = ["sh", "-c", script, "sh", str(folder), session_id]
        commands.check(commands.run(workspace, line, stdin=file), "write the conversation back")
