"""What is tried again, and how a named error looks in the log."""

import logging
import sys

import pytest
from prefect.states import Failed

from flows import errors
from flows.tasks.policy import RETRIES, RETRY_DELAYS_SECONDS, NamedErrorsInOneLine, is_retryable


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (errors.RemoteUnavailable("x"), True),
        (errors.InstructionsUnavailable("x"), True),
        (errors.ModelUnavailable("x"), True),
        (errors.AgentCrashed("x"), True),
        (errors.GitAuthFailed("x"), False),
        (errors.ModelNotFound("x"), False),
        (errors.InvalidSettings("x"), False),
        (ConnectionError("x"), False),
    ],
)
def test_only_what_may_pass_by_itself_is_tried_again(error: Exception, again: bool) -> None:
    # Prefect hands the condition a task and a task run as well; it reads neither.
    assert is_retryable(None, None, Failed(data=error)) is again  # type: ignore[arg-type]


def test_there_is_a_delay_for_each_retry() -> None:
    assert len(RETRY_DELAYS_SECONDS) == RETRIES


def record_of(error: Exception) -> logging.LogRecord:
    try:
        raise error  # noqa: TRY301 (a record has a traceback only so)
    except Exception:  # noqa: BLE001 (both kinds are looked at)
        return logging.LogRecord("x", logging.ERROR, __file__, 1, "failed: %r", (error,), sys.exc_info())


def test_a_named_error_is_one_line_without_its_traceback() -> None:
    record = record_of(errors.RepoNotFound("no such repository"))
    assert NamedErrorsInOneLine().filter(record)
    assert logging.Formatter().format(record) == "RepoNotFound: no such repository"


def test_an_error_of_ours_in_the_code_keeps_its_traceback() -> None:
    record = record_of(KeyError("a bug"))
    assert NamedErrorsInOneLine().filter(record)
    assert "Traceback" in logging.Formatter().format(record)
