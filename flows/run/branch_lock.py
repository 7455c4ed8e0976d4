"""Holds the lock of a follow-up's branch while the run is open."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from prefect import get_run_logger

from flows.errors import FollowUpInProgress, StoreUnavailable
from flows.run.follow_up import find_record
from flows.run.run import FollowUpRun, Run
from flows.state.branch_lock import LIFE_SECONDS, BranchLock

_RENEWAL_SECONDS: Final = LIFE_SECONDS / 10


@contextmanager
def hold_branch(run: FollowUpRun) -> Iterator[None]:
    """Hold the lock while the context is open.

    Raises:
        FollowUpInProgress: Another run has the lock, or has ended since this one read what is recorded of the branch.
    """
    run.lock.take()
    is_over = threading.Event()
    thread = threading.Thread(target=_renew, args=(run.lock, is_over), name="branch lock", daemon=True)
    thread.start()
    try:
        if find_record(run.parameters) != run.record:
            raise FollowUpInProgress(
                f"another run has just followed up on the branch {run.record.branch!r}: continue this one, which then "
                "hears what is new"
            )
        yield
    finally:
        is_over.set()
        with suppress(StoreUnavailable):  # the lock ends by itself
            run.lock.release()


def check_branch(run: Run) -> None:
    """Raise `FollowUpInProgress` if the run is a follow-up, and another one has the lock of its branch.

    If the run store does not answer, only log a warning, as for the lease.
    """
    if not isinstance(run, FollowUpRun):
        return
    try:
        run.lock.check()
    except StoreUnavailable as error:
        get_run_logger().warning("the lock of the branch could not be checked, so this run continues: %s", error)


def _renew(lock: BranchLock, is_over: threading.Event) -> None:
    while not is_over.wait(_RENEWAL_SECONDS):
        with suppress(StoreUnavailable):  # the next renewal may succeed
            lock.renew()
