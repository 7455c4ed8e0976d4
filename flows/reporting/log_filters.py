"""What the log shows: a named error on one line, and in no record a secret or an unsafe character."""

import logging
import re
import traceback
from collections.abc import Callable
from typing import Any, Final

from flows.errors import RunError, Unexpected
from flows.text_safety import one_line, sanitize

_FAILURES: Final = ("prefect.flow_runs", "prefect.task_runs")
"""The loggers that Prefect reports failures to."""

_ABOUT_HOOKS: Final = re.compile(r"Running hook '.*' in response to|Hook '.*' finished running successfully")


def set_up_logs() -> None:
    """Sanitize all log records of this process, and shorten named errors; calling it again changes nothing."""
    if not isinstance(factory := logging.getLogRecordFactory(), _SanitizingFactory):
        logging.setLogRecordFactory(_SanitizingFactory(factory))
    for name in _FAILURES:
        logger = logging.getLogger(name)
        for kind in (NamedErrorsInOneLine, HooksUnmentioned):
            if not any(isinstance(f, kind) for f in logger.filters):
                logger.addFilter(kind())


class NamedErrorsInOneLine(logging.Filter):
    """Removes the traceback from Prefect's report of a `RunError`: its message says what to do, the stack does not."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record of a `RunError`; let every record through."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, RunError) and not isinstance(error, Unexpected):
            record.msg, record.args = "%s: %s", (type(error).__name__, one_line(str(error)))
            record.exc_info, record.exc_text = None, None
        return True


class HooksUnmentioned(logging.Filter):
    """Drops Prefect's records that a hook is called and has returned: they say nothing about the run."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every other record through, and a hook's errors."""
        return record.levelno > logging.INFO or not _ABOUT_HOOKS.match(record.getMessage())


class _SanitizingFactory:
    """Makes sanitized log records. A factory, because every logger of the process and every handler depends on it.

    Prefect sends records in batches: one that cannot be encoded or stored loses the others of its batch as well.
    """

    def __init__(self, make_record: Callable[..., logging.LogRecord]) -> None:
        self._make_record = make_record

    def __call__(self, *args: Any, **options: Any) -> logging.LogRecord:  # noqa: ANN401 (logging's own)
        record = self._make_record(*args, **options)
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            return record  # its format does not fit its values: logging reports that itself
        if (safe := sanitize(message)) != message:
            record.msg, record.args = safe, ()
        if record.exc_info and record.exc_info[0]:
            stack = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            if (safe := sanitize(stack)) != stack:
                record.exc_text = safe
        return record
