"""What the steps have in common: when a task is tried again, and how a failure looks in the log."""

import logging
from typing import TYPE_CHECKING, Any, Final

from prefect.cache_policies import NO_CACHE

from flows.errors import RunError

if TYPE_CHECKING:
    from prefect import Task
    from prefect.client.schemas.objects import State, TaskRun

RETRIES: Final = 3
RETRY_DELAYS_SECONDS: Final = [2.0, 8.0, 30.0]

UNPERSISTED: Final[dict[str, Any]] = {
    # No input of a task may become a cache key, and no result a file: credentials are among both.
    "cache_policy": NO_CACHE,
    "persist_result": False,
}


def is_retryable(task: "Task[..., Any]", task_run: "TaskRun", state: "State[Any]") -> bool:
    """Retry condition of every task: only what may pass by itself is tried again."""
    del task, task_run
    return isinstance(state.data, RunError) and state.data.retryable


RETRIED: Final[dict[str, Any]] = {
    "retries": RETRIES,
    "retry_delay_seconds": RETRY_DELAYS_SECONDS,
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": is_retryable,
}


class NamedErrorsInOneLine(logging.Filter):
    """Takes the traceback off Prefect's report of an error of ours: its message says what to do, the stack does not."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record of a `RunError`; let everything through."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, RunError):
            record.msg, record.args = "%s: %s", (type(error).__name__, error)
            record.exc_info, record.exc_text = None, None
        return True


def shorten_named_errors() -> None:
    """Install the filter where Prefect logs failures; more than once does no harm."""
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logger = logging.getLogger(name)
        if not any(isinstance(f, NamedErrorsInOneLine) for f in logger.filters):
            logger.addFilter(NamedErrorsInOneLine())
