"""Failures are short in the log, and no log record contains a secret."""

import logging
import sys
import uuid

import pytest

from flows import errors
from flows.redaction import SECRETS
from flows.reporting.log_filters import HookMessageFilter, NamedErrorFilter, set_up_logs

SECRET = f"a-secret-of-this-test-{uuid.uuid4()}"


@pytest.fixture
def logger(caplog: pytest.LogCaptureFixture) -> logging.Logger:
    set_up_logs()
    SECRETS.learn("a test's secret", SECRET)
    caplog.set_level("DEBUG")
    return logging.getLogger("some.library")


def record_of(error: Exception) -> logging.LogRecord:
    try:
        raise error  # noqa: TRY301 (only a raised error has a traceback)
    except Exception:  # noqa: BLE001 (named errors and others)
        return logging.LogRecord("x", logging.ERROR, __file__, 1, "failed: %r", (error,), sys.exc_info())


def test_a_named_error_is_one_line_without_its_traceback() -> None:
    record = record_of(errors.RepoNotFound("no such repository"))
    assert NamedErrorFilter().filter(record)
    assert logging.Formatter().format(record) == "RepoNotFound: no such repository"


def test_an_error_without_a_name_keeps_its_traceback() -> None:
    record = record_of(KeyError("a bug"))
    assert NamedErrorFilter().filter(record)
    assert "Traceback" in logging.Formatter().format(record)


def test_an_unexpected_error_keeps_its_traceback_too() -> None:
    record = record_of(errors.Unexpected("KeyError: x"))
    assert NamedErrorFilter().filter(record)
    assert "Traceback" in logging.Formatter().format(record)


@pytest.mark.parametrize(
    ("level", "message", "is_logged"),
    [
        (logging.INFO, "Running hook 'announce' in response to entering state 'Completed'", False),
        (logging.INFO, "Hook 'announce' finished running successfully", False),
        (logging.ERROR, "An error was encountered while running hook 'announce'", True),
        (logging.INFO, "Finished in state Completed()", True),
    ],
)
def test_hooks_are_logged_only_if_they_fail(level: int, message: str, is_logged: bool) -> None:
    assert HookMessageFilter().filter(logging.LogRecord("x", level, __file__, 1, message, (), None)) == is_logged


def test_no_message_holds_a_secret(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    logger.info("as an argument: %s", SECRET)
    logger.info("in the message: " + SECRET)  # noqa: G003 (as a library may do)
    logger.debug({"in": ["an object", SECRET]})
    assert caplog.text.count("***") == 3
    assert SECRET not in caplog.text


def test_no_traceback_holds_a_secret(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError(SECRET)  # noqa: TRY301 (only a raised error has a traceback)
    except ValueError:
        logger.exception("failed")
    assert "ValueError: ***" in caplog.text
    assert SECRET not in caplog.text


def test_a_format_that_does_not_fit_its_arguments_is_left_to_logging(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logger.info("%d", "not a number")
    assert "Traceback" not in capsys.readouterr().err


def test_records_without_a_secret_are_unchanged(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    logger.info("%s of %d", "one", 2)
    assert (caplog.records[0].msg, caplog.records[0].args) == ("%s of %d", ("one", 2))


def test_setting_up_twice_has_no_further_effect() -> None:
    set_up_logs()
    before = logging.getLogRecordFactory()
    set_up_logs()
    assert logging.getLogRecordFactory() is before
