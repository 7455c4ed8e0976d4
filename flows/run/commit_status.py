"""Shows on the forge, beside the pushed commit, what the run knows about it."""

import threading
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
        is_possible = _set(api, run, change, CommitState.PENDING, "the pull request is not open yet")
        try:
            yield
        except Exception:
            if is_possible:
                _set(api, run, change, state, text)
            raise
        if is_possible:
            _set(api, run, change, state, text)
    except BaseException as error:
        if is_possible and not isinstance(error, Exception):  # also if it interrupts one of the requests above
            _set_in_time(api, run, change)
        raise


def _set(api: ForgeApi, run: Run, change: Change, state: CommitState, text: str) -> bool:
    """Set the status. Return whether it makes sense to set another one later."""
    try:
        api.set_status(CommitStatus(change.commit, state, text, run_url(run)))
    except ForgeUnavailable as error:
        get_run_logger().info("the status of the commit may not be set: %s", error)
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
