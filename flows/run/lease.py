"""Holds a run's lease, because Prefect may start a second attempt while the first still works on another machine."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect import get_run_logger
from prefect.exceptions import Abort

from flows.errors import StoreUnavailable, Superseded
from flows.state.store import RunStore


@contextmanager
def hold_lease(store: RunStore) -> Iterator[None]:
    """Hold the run's lease while the context is open. If a later attempt takes the lease, raise Prefect's `Abort`.

    `Abort` reports no state to Prefect. The later attempt decides the run's state, so an error of this attempt no
    longer matters.
    """
    store.take_lease()
    try:
        yield
        check_lease(store)
    except Exception as error:
        if not _is_superseded(store, error):
            raise
        get_run_logger().warning("a later attempt of this run has taken over: this attempt ends")
        raise Abort("a later attempt has taken over") from error


def check_lease(store: RunStore) -> None:
    """Raise `Superseded` if a later attempt has taken the lease.

    If the run store does not answer, only log a warning: this attempt continues.
    """
    try:
        store.check_lease()
    except StoreUnavailable as error:
        get_run_logger().warning("the lease could not be checked, so this attempt continues: %s", error)


def _is_superseded(store: RunStore, error: Exception) -> bool:
    if isinstance(error, Superseded):
        return True
    try:
        store.without_retries.check_lease()
    except Superseded:
        return True
    except StoreUnavailable:
        return False
    return False
