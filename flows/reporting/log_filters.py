"""What the log shows: an error of ours in one line, and no secret in any."""

import logging
import re
import traceback
from collections.abc import Callable
from typing import Any, Final

from flows.errors import RunError, Unexpected
from flows.redaction import redact

_FAILURES: Final = ("prefect.flow_runs", "prefect.task_runs")
"""Where Prefect logs them."""

_ABOUT_HOOKS: Final = re.compile(r"Running hook '.*' in response to|Hook '.*' finished running successfully")


def set_up_logs() -> None:
    """Have all log records of this process redacted, and errors of ours shortened; more than once does no harm."""
    if not isinstance(make := logging.getLogRecordFactory(), _Redacted):
        logging.setLogRecordFactory(_Redacted(make))
    for name in _FAILURES:
        logger = logging.getLogger(name)
        for kind in (NamedErrorsInOneLine, HooksUnmentioned):
            if not any(isinstance(f, kind) for f in logger.filters):
                logger.addFilter(kind())


class NamedErrorsInOneLine(logging.Filter):
    """Takes the traceback off Prefect's report of an error of ours: its message says what to do, the stack does not."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record of a `RunError`; let everything through."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, RunError) and not isinstance(error, Unexpected):
            record.msg, record.args = "%s: %s", (type(error).__name__, error)
            record.exc_info, record.exc_text = None, None
        return True


class HooksUnmentioned(logging.Filter):
    """Leaves out that Prefect calls a hook and that it has returned: that is nothing that a run does."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything else through, and a hook's errors."""
        return record.levelno > logging.INFO or not _ABOUT_HOOKS.match(record.getMessage())


class _Redacted:
    """Makes log records without secrets: here, because whoever logs, and whoever listens, comes by."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *args: Any, **options: Any) -> logging.LogRecord:  # noqa: ANN401 (logging's own)
        record = self._make(*args, **options)
        try:
            said = record.getMessage()
        except (TypeError, ValueError):
            return record  # its format does not fit its values: logging reports that itself
        if (clean := redact(said)) != said:
            record.msg, record.args = clean, ()
        if record.exc_info and record.exc_info[0]:
            stack = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            if (clean := redact(stack)) != stack:
                record.exc_text = clean
        return record
