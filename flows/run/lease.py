"""One execution of a flow run at a time: Prefect may start a second one while the first still goes on somewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect import get_run_logger
from prefect.exceptions import Abort

from flows.errors import StoreUnavailable, Superseded
from flows.state.store import RunStore


@contextmanager
def newest_execution(store: RunStore) -> Iterator[None]:
    """Take the run over from whatever executes it, and end without a word to Prefect when that happens to this one.

    The later execution decides on the run's state; what goes wrong in this one from then on is of no account.
    """
    store.take_over()
    try:
        yield
        check_execution(store)
    except Exception as error:
        if not _is_superseded(store, error):
            raise
        get_run_logger().warning("a later execution of this run has taken over: this one ends here")
        raise Abort("a later execution has taken over") from error


def check_execution(store: RunStore) -> None:
    """Raise `Superseded` where a later execution has taken over; where the store does not say, this one goes on."""
    try:
        store.check_execution()
    except StoreUnavailable as error:
        get_run_logger().warning("%s: this execution goes on", error)


def _is_superseded(store: RunStore, error: Exception) -> bool:
    if isinstance(error, Superseded):
        return True
    try:
        store.in_haste.check_execution()
    except Superseded:
        return True
    except StoreUnavailable:
        return False
    return False
