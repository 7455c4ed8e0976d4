"""Shows on the forge, beside the pushed commit, what the run knows about it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Final

from prefect import get_run_logger

from flows.errors import ForgeUnavailable, RunError
from flows.forges.api.base import CommitState, CommitStatus, ForgeApi
from flows.outcome.verification import result_text
from flows.repository.collect import Change
from flows.run.pull_request import run_url
from flows.run.rounds import status_of
from flows.run.run import Run
from flows.verification.results import Status

_JOIN_SECONDS: Final = 5
_PAUSES_SECONDS: Final = (1, 3)


@contextmanager
def commit_status(api: ForgeApi, run: Run, change: Change) -> Iterator[None]:
    """Set the commit's status to pending, and when the context ends to what the verification says.

    A run without verify commands has nothing to say, and sets none. A forge that refuses is named in the log only.
    """
    status = status_of(run, change)
    if status is None or status is Status.NOT_ASKED:
        yield
        return
    state = CommitState.SUCCESS if status is Status.VERIFIED else CommitState.FAILURE
    text = result_text(status, run.saved.finished.round if run.saved.finished else 0)
    is_possible = True
    try:
        is_possible = _set(api, run, change, CommitState.PENDING, "the pull request is not open yet") is not False
        try:
            yield
        except Exception:
            if is_possible:
                _set_last(api, run, change, state, text)
            raise
        if is_possible:
            _set_last(api, run, change, state, text)
    except BaseException as error:
        if is_possible and not isinstance(error, Exception):  # also if it interrupts one of the requests above
            _set_in_time(api, run, change)
        raise


def _set_last(api: ForgeApi, run: Run, change: Change, state: CommitState, text: str) -> None:
    """Set the status that replaces the pending one. To set it twice does no harm, so a failure is not the end."""
    for seconds in _PAUSES_SECONDS:
        if _set(api, run, change, state, text) is not None:
            return
        time.sleep(seconds)
    if _set(api, run, change, state, text) is None:
        run.warnings.append(f"the status of the commit may still be pending, and should be {state}: set it by hand")


def _set(api: ForgeApi, run: Run, change: Change, state: CommitState, text: str) -> bool | None:
    """Set the status. Return whether the token may do so; None if the forge did not answer."""
    try:
        api.set_status(CommitStatus(change.commit, state, text, run_url(run)))
    except ForgeUnavailable as error:
        get_run_logger().info("the status of the commit may not be set: %s", error)
        return None
    except RunError as error:
        get_run_logger().info("the commit has no status, which the token must be allowed to set: %s", error)
        return False
    return True


def _set_in_time(api: ForgeApi, run: Run, change: Change) -> None:
    """Set the status of a run that is stopped. Its process may have only a moment left."""
    arguments = (_set, api, run, change, CommitState.ERROR, "the run was stopped")
    thread = threading.Thread(target=copy_context().run, args=arguments, name="commit status", daemon=True)
    thread.start()
    thread.join(_JOIN_SECONDS)
