"""Filters the log: a `RunError` takes one line, and no record contains a secret or an unsafe character."""

import logging
import re
import traceback
from collections.abc import Callable
from typing import Any, Final

from flows.errors import RunError, Unexpected
from flows.text_safety import one_line, sanitize

_FAILURES: Final = ("prefect.flow_runs", "prefect.task_runs")
"""The names of the loggers with which Prefect reports failures."""

_HOOK_MESSAGE: Final = re.compile(r"Running hook '.*' in response to|Hook '.*' finished running successfully")


def set_up_logs() -> None:
    """Sanitize all log records of this process, and log each `RunError` in one line. A second call changes nothing."""
    if not isinstance(factory := logging.getLogRecordFactory(), _SanitizingFactory):
        logging.setLogRecordFactory(_SanitizingFactory(factory))
    for name in _FAILURES:
        logger = logging.getLogger(name)
        for kind in (NamedErrorFilter, HookMessageFilter):
            if not any(isinstance(f, kind) for f in logger.filters):
                logger.addFilter(kind())


class NamedErrorFilter(logging.Filter):
    """Removes the traceback when Prefect reports a `RunError`, because the message alone says what to do."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record of a `RunError` to one line. Return True, because every record is logged."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, RunError) and not isinstance(error, Unexpected):
            record.msg, record.args = "%s: %s", (type(error).__name__, one_line(error.sentences))
            record.exc_info, record.exc_text = None, None
        return True


class HookMessageFilter(logging.Filter):
    """Drops the log records in which Prefect says that it calls a hook, or that a hook has returned."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for a record of a hook's call or end, and True for any other record, such as a hook's error."""
        return record.levelno > logging.INFO or not _HOOK_MESSAGE.match(record.getMessage())


class _SanitizingFactory:
    """A record factory that sanitizes log records. Unlike a filter, it applies to every logger of the process.

    Records must be safe, because Prefect sends them in batches. A record that cannot be encoded or stored loses the
    rest of its batch as well. The factory raises no error, because an error would end the code that logs the record.
    """

    def __init__(self, make_record: Callable[..., logging.LogRecord]) -> None:
        self._make_record = make_record

    def __call__(self, *args: Any, **options: Any) -> logging.LogRecord:  # noqa: ANN401 (the signature is logging's)
        record = self._make_record(*args, **options)
        try:
            message = record.getMessage()
        except Exception as error:  # noqa: BLE001 (an argument's `__str__` may raise anything)
            record.msg, record.args = sanitize(_message_without_arguments(record, error)), ()
        else:
            if (safe_message := sanitize(message)) != message:
                record.msg, record.args = safe_message, ()
        if record.exc_info and record.exc_info[0]:
            text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            if (safe_text := sanitize(text)) != text:
                record.exc_text = safe_text
        if record.stack_info:
            record.stack_info = sanitize(record.stack_info)
        return record


def _message_without_arguments(record: logging.LogRecord, error: Exception) -> str:
    try:
        message = str(record.msg)
    except Exception:  # noqa: BLE001 (a message may be any object)
        message = type(record.msg).__name__
    return f"{message} (the arguments of this message cannot be shown: {type(error).__name__})"
