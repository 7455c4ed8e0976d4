"""One attempt of a flow run at a time: Prefect may start a second one while the first still works somewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect import get_run_logger
from prefect.exceptions import Abort

from flows.errors import StoreUnavailable, Superseded
from flows.state.store import RunStore


@contextmanager
def newest_attempt(store: RunStore) -> Iterator[None]:
    """Hold the run's lease. If a later attempt takes it, end without reporting anything to Prefect.

    The later attempt decides on the run's state; an error of this one no longer matters.
    """
    store.take_lease()
    try:
        yield
        check_lease(store)
    except Exception as error:
        if not _is_superseded(store, error):
            raise
        get_run_logger().warning("a later attempt of this run has taken over: this one ends here")
        raise Abort("a later attempt has taken over") from error


def check_lease(store: RunStore) -> None:
    """Raise `Superseded` if a later attempt has taken the lease; if the store does not answer, this attempt goes on."""
    try:
        store.check_lease()
    except StoreUnavailable as error:
        get_run_logger().warning("%s: this attempt goes on", error)


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
