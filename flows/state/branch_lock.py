"""Locks a branch, so that one follow-up at a time works on it, reads its review and answers it.

A run store has no conditional write. So a run writes its name, and reads it again before it spends or publishes
anything: of two that write at the same moment, the later one has the lock, and the other one sees it. A lock ends by
itself if its run does not renew it, so a lost machine does not hold it for ever.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from flows.errors import FollowUpInProgress
from flows.state.store import RunStore

LIFE_SECONDS: Final = 600
"""How long a lock lasts that is not renewed. The clocks of two machines may differ by less than this."""
_LOCK: Final = "lock"


@dataclass(frozen=True)
class Holder:
    """What the file of a lock says."""

    run_id: str = ""
    attempt: str = ""
    until: float = 0
    """The end of the lock, in seconds since 1970; 0 if the run has released it."""


@dataclass
class BranchLock:
    """The lock of one branch, for one attempt of a run. Each method raises `StoreUnavailable` as the store does."""

    store: RunStore
    """The folder of the branch in the run store."""
    branch: str
    run_id: str
    attempt: str
    clock: Callable[[], float] = time.time
    previous: str = ""
    """The run that had the lock before; empty if none had it."""
    _is_held: bool = False
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> None:
        """Take the lock, also from an earlier attempt of the same run; raise `FollowUpInProgress` if it is held."""
        with self._mutex:
            holder = self._read()
            self._refuse(holder)
            self.previous = holder.run_id
            self._write(self.store)
            self._is_held = True

    def check(self) -> None:
        """Raise `FollowUpInProgress` if another run has the lock."""
        self._refuse(self._read())

    def renew(self) -> None:
        """Let the lock last longer, if this attempt still has it."""
        with self._mutex:
            if self._is_held and self._is_own(self._read()):
                self._write(self.store.without_retries)

    def release(self) -> None:
        """Release the lock, if this attempt still has it."""
        with self._mutex:
            if self._is_held and self._is_own(holder := self._read()):
                self._save(self.store, replace(holder, until=0))
            self._is_held = False

    def _refuse(self, holder: Holder) -> None:
        if holder.run_id == self.run_id or holder.until <= self.clock():
            return
        end = datetime.fromtimestamp(holder.until, UTC)
        raise FollowUpInProgress(
            f"the run {holder.run_id} follows up on the branch {self.branch!r} now: wait until it ends, or cancel it, "
            f"and continue this one. If its machine is lost, the branch is free again at {end:%H:%M:%S} UTC"
        )

    def _is_own(self, holder: Holder) -> bool:
        return (holder.run_id, holder.attempt) == (self.run_id, self.attempt)

    def _write(self, store: RunStore) -> None:
        self._save(store, Holder(self.run_id, self.attempt, self.clock() + LIFE_SECONDS))

    @staticmethod
    def _save(store: RunStore, holder: Holder) -> None:
        store.save_sealed(_LOCK, json.dumps(asdict(holder)).encode())

    def _read(self) -> Holder:
        content = self.store.read_sealed(_LOCK)
        try:
            return Holder(**json.loads(content)) if content else Holder()
        except (TypeError, ValueError):  # of another version of this program
            return Holder()
