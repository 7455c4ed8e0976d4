"""Saves checkpoints while the agent works. A later attempt of the run resumes the work from the newest checkpoint."""

import threading
from dataclasses import dataclass, field, replace
from typing import Final, Self

from flows.agent.config_folder import MAX_BYTES
from flows.agent.session import Agent, Logger
from flows.errors import RunError, StoreUnavailable, Superseded
from flows.redaction import SECRETS
from flows.repository import snapshot
from flows.sandbox.workspace import Workspace
from flows.state.records import Checkpoint, Plan
from flows.state.saved_run import SavedRun

_ATTEMPTS: Final = 3
_LEASE_CHECK_SECONDS: Final = 60
"""Seconds between two checks of the lease if checkpoints are turned off."""


@dataclass
class Checkpoints:
    """A context manager that saves checkpoints of a run's work at regular intervals until the context ends.

    Only the attempt that holds the lease may write. If a later attempt takes the lease, this attempt's agent is ended.

    Args:
        workspace: The run's directories.
        saved: The saved state of the run, to which the checkpoints are added.
        plan: The run's plan, with the commit that the work starts from.
        agent: The agent whose conversation and spending are saved.
        interval_seconds: Seconds between checkpoints; 0 turns checkpoints off. Unchanged work is not saved again.
        logger: Receives a warning for each checkpoint that fails.
        round: The number of the repair that the checkpoints belong to; 0 before the first repair.
    """

    workspace: Workspace
    saved: SavedRun
    plan: Plan
    agent: Agent
    interval_seconds: float
    logger: Logger
    round: int = 0

    _last: Checkpoint | None = None
    """The newest checkpoint. If this object saved it, this copy of its conversation is the one before redaction."""
    _is_closed: threading.Event = field(default_factory=threading.Event)
    _is_writing: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        self._last = self.saved.checkpoint
        self._thread = threading.Thread(target=self._write_until_closed, name="checkpoints", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closed.set()
        if self._is_writing.locked():
            # The agent has ended. A process that it left running could delay the snapshot of the work tree.
            self.workspace.agent.end_processes()
        self._thread.join()

    def write(self) -> None:
        """Save a checkpoint unless the last one already holds the current work. Errors are only logged, as warnings.

        The agent must have ended. What git started for the checkpoint as the agent's user is ended as well.
        """
        try:
            self._write()
        except (RunError, OSError) as error:
            self.logger.warning("a checkpoint could not be saved: %s", error)
        finally:
            self.workspace.agent.end_processes()

    def _write_until_closed(self) -> None:
        while not self._is_closed.wait(self.interval_seconds or _LEASE_CHECK_SECONDS):
            with self._is_writing:
                if self._is_closed.is_set():
                    return
                try:
                    self.saved.store.without_retries.check_lease()
                    if self.interval_seconds:
                        self._write()
                except Superseded:
                    self.workspace.agent.end_processes()
                    return
                except Exception as error:  # noqa: BLE001 (the next checkpoint may succeed)
                    self.logger.warning("a checkpoint could not be saved: %s", error)

    def _write(self) -> None:
        base, last = self.plan.checkout.base_commit, self._last
        commit, session = self._tree_and_conversation(base)
        work = (commit, session, self.round, self.agent.feedback)
        if last and (last.commit, last.session, last.round, last.feedback) == work:
            return
        bundle = b"" if commit == base else snapshot.bundle(self.workspace, base)
        if max(len(bundle), len(session)) > MAX_BYTES:
            raise StoreUnavailable(f"the work so far exceeds {MAX_BYTES >> 20} MiB, the limit of a checkpoint")
        checkpoint = Checkpoint(
            number=last.number + 1 if last else 0,
            commit=commit,
            spending=self.agent.meter.spending,
            session_id=self.agent.session_id,
            bundle=bundle,
            session=session,
            round=self.round,
            worked_seconds=self.agent.worked_seconds_now,
            feedback=self.agent.feedback,
        )
        self.saved.save_checkpoint(replace(checkpoint, session=SECRETS.redact_bytes(session)))
        self._last = checkpoint

    def _tree_and_conversation(self, base: str) -> tuple[str, bytes]:
        """Return the commit of a snapshot of the work tree, and the conversation of the same moment.

        If the agent works too quickly for that, the commit is newer than the conversation. An agent that resumes from
        both then at worst repeats a step whose result is already in the files. If the conversation were newer than the
        commit, the agent would count on a step whose result is not in the files.
        """
        for _ in range(_ATTEMPTS):
            session = self.agent.read_conversation(self.workspace)
            commit = snapshot.take(self.workspace, base)
            if self.agent.read_conversation(self.workspace) == session:
                break
        return commit, session
