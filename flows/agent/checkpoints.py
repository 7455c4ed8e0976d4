"""Checkpoints: the work so far, kept beside the agent's work and not in its way."""

import threading
from dataclasses import dataclass, field, replace
from tempfile import TemporaryFile
from typing import Final, Self

from prefect import get_run_logger

from flows.agent.session import Agent
from flows.errors import RunError, StoreUnavailable, Superseded
from flows.redaction import SECRETS
from flows.repository import git_commands as git
from flows.repository import snapshot
from flows.sandbox.workspace import Workspace
from flows.state.records import Checkpoint, Plan, keep_checkpoint
from flows.state.store import RunStore

MAX_BYTES: Final = 512 * 2**20
"""Of a checkpoint's bundle or session; a larger one is not kept."""

_LOOKS: Final = 3
_WATCH_SECONDS: Final = 60
"""How often to ask whether this is still the run's execution, where there are no checkpoints."""

_SESSION_PLACE: Final = ".claude/projects"


@dataclass
class Checkpoints:
    """The checkpoints of a run's work, as a context: written every few seconds while it lasts.

    Where a later execution of the run takes over, the agent is ended.

    Args:
        interval_seconds: How often to look; 0 for not at all. Where nothing is new nothing is written.
    """

    workspace: Workspace
    store: RunStore
    plan: Plan
    agent: Agent
    interval_seconds: float

    _over: threading.Event = field(default_factory=threading.Event)
    _looks: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        self._logger = get_run_logger()
        self._thread = threading.Thread(target=self._write_again_and_again, name="checkpoints", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._looks.locked():
            # The agent is done; what it left running could hold up a look at its tree.
            self.workspace.agent.end_processes()
        self._thread.join()

    def write(self) -> None:
        """Keep the work as it is now, unless it is as the last checkpoint has it; a fault is a warning."""
        try:
            self._write()
        except (RunError, OSError) as error:
            self._logger.warning("no checkpoint this time: %s", error)

    def _write_again_and_again(self) -> None:
        while not self._over.wait(self.interval_seconds or _WATCH_SECONDS):
            with self._looks:
                if self._over.is_set():
                    return
                try:
                    self._look_once()
                except Superseded:
                    self.workspace.agent.end_processes()
                    return
                except Exception as error:  # noqa: BLE001 (whatever it is, the next one may do better)
                    self._logger.warning("no checkpoint this time: %s", error)

    def _look_once(self) -> None:
        self.store.in_haste.check_execution()
        if self.interval_seconds:
            self._write()

    def _write(self) -> None:
        base, last = self.plan.checkout.base_commit, self.agent.checkpoint
        commit, session = self._look(base)
        if last and (last.commit, last.session) == (commit, session):
            return
        bundle = b"" if commit == base else snapshot.bundled(self.workspace, base)
        if max(len(bundle), len(session)) > MAX_BYTES:
            raise StoreUnavailable(f"the work so far is over {MAX_BYTES >> 20} MiB, which is not kept while it goes on")
        number = last.number + 1 if last else 0
        made = Checkpoint(number, commit, self.agent.meter.spending, self.agent.session_id, bundle, session)
        # A store that is away is there for the next one, or not: nobody is to wait for it.
        keep_checkpoint(self.store.in_haste, replace(made, session=SECRETS.redact_bytes(session)))
        self.agent.checkpoint = made

    def _look(self, base: str) -> tuple[str, bytes]:
        """Return tree and conversation of one moment; if the agent is too quick, the tree is the newer of the two.

        Then a step is done twice at worst, which the agent sees in the files; the other way it would be missing.
        """
        for _ in range(_LOOKS):
            session = read_session(self.workspace, self.agent.session_id)
            commit = snapshot.take(self.workspace, base)
            if read_session(self.workspace, self.agent.session_id) == session:
                break
        return commit, session


def read_session(workspace: Workspace, session_id: str) -> bytes:
    """Return Claude Code's record of the conversation, read as the agent, whose it is; empty where there is none."""
    place = workspace.home / _SESSION_PLACE
    find = ["find", str(place), "-name", f"{session_id}.jsonl", "-type", "f", "-size", f"-{MAX_BYTES}c"]
    lines = git.run(workspace.agent.argv([*find, "-exec", "cat", "{}", "+"])).stdout
    return lines[: lines.rfind(b"\n") + 1]  # the last one may still be being written


def write_session(workspace: Workspace, session_id: str, content: bytes) -> None:
    """Put the record of a conversation where Claude Code looks for it."""
    folder = workspace.home / _SESSION_PLACE / "-restored"
    with TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        script = 'mkdir -p "$1" && cat > "$1/$2.jsonl"'
        git.check(workspace.agent.argv(["sh", "-c", script, "sh", str(folder), session_id]), stdin=file)
