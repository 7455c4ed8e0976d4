"""Checkpoints: the work so far, kept beside the agent's work and not in its way."""

import threading
from dataclasses import dataclass, field, replace
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final, Self

from prefect import get_run_logger

from flows.errors import RunError, StoreUnavailable
from flows.keepings import Checkpoint, Plan, keep_checkpoint
from flows.redaction import SECRETS
from flows.store import RunStore
from flows.workspace import git, snapshot
from flows.workspace.directory import Workspace

if TYPE_CHECKING:
    from flows.claude.meter import Meter

MAX_BYTES: Final = 512 * 2**20
"""Of a checkpoint's bundle or session; a larger one is not kept."""

_LOOKS: Final = 3
_SESSION_PLACE: Final = ".claude/projects"


@dataclass
class Checkpoints:
    """The checkpoints of one execution of a run, as a context: written every few seconds while it lasts.

    Args:
        interval_seconds: How often to look; 0 for not at all. Where nothing is new nothing is written.
    """

    workspace: Workspace
    store: RunStore
    plan: Plan
    meter: "Meter"
    session_id: str
    interval_seconds: float
    last: Checkpoint | None = None

    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self.interval_seconds:
            self._logger = get_run_logger()
            self._thread = threading.Thread(target=self._write_again_and_again, name="checkpoints", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        # The agent is done; what it left running could hold up a look at its tree.
        self.workspace.agent.end_processes()
        if self._thread:
            self._thread.join()

    def write(self) -> None:
        """Keep the work as it is now, unless it is as the last checkpoint has it; a fault is a warning."""
        try:
            self._write()
        except (RunError, OSError) as error:
            get_run_logger().warning("no checkpoint this time: %s", error)

    def _write_again_and_again(self) -> None:
        while not self._over.wait(self.interval_seconds):
            try:
                self._write()
            except (RunError, OSError) as error:
                self._logger.warning("no checkpoint this time: %s", error)

    def _write(self) -> None:
        base = self.plan.checkout.base_commit
        commit, session = self._look(base)
        number = self.last.number + 1 if self.last else 0
        if self.last and (self.last.commit, self.last.session) == (commit, session):
            return
        bundle = b"" if commit == base else snapshot.bundled(self.workspace, base)
        if max(len(bundle), len(session)) > MAX_BYTES:
            raise StoreUnavailable(f"the work so far is over {MAX_BYTES >> 20} MiB, which is not kept while it goes on")
        made = Checkpoint(number, commit, self.meter.spending, self.session_id, bundle, session)
        keep_checkpoint(self.store, replace(made, session=SECRETS.redact_bytes(session)))
        self.last = made

    def _look(self, base: str) -> tuple[str, bytes]:
        """Return tree and conversation of one moment; if the agent is too quick, the tree is the newer of the two.

        Then a step is done twice at worst, which the agent sees in the files; the other way it would be missing.
        """
        for _ in range(_LOOKS):
            session = read_session(self.workspace, self.session_id)
            commit = snapshot.take(self.workspace, base)
            if read_session(self.workspace, self.session_id) == session:
                break
        return commit, session


def read_session(workspace: Workspace, session_id: str) -> bytes:
    """Return Claude Code's record of the conversation, read as the agent, whose it is; empty where there is none."""
    place = workspace.home / _SESSION_PLACE
    find = ["find", str(place), "-name", f"{session_id}.jsonl", "-type", "f", "-size", f"-{MAX_BYTES}c"]
    return git.run(workspace.agent.argv([*find, "-exec", "cat", "{}", "+"])).stdout


def write_session(workspace: Workspace, session_id: str, content: bytes) -> None:
    """Put the record of a conversation where Claude Code looks for it."""
    folder = workspace.home / _SESSION_PLACE / "-restored"
    with TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        script = 'mkdir -p "$1" && cat > "$1/$2.jsonl"'
        git.check(workspace.agent.argv(["sh", "-c", script, "sh", str(folder), session_id]), stdin=file)
