"""How failures look in the log, and that no record holds a secret, whoever makes it."""

import logging
import sys
import uuid

import pytest

from flows import errors
from flows.redaction import SECRETS
from flows.reporting.log_filters import HooksUnmentioned, NamedErrorsInOneLine, set_up_logs

SECRET = f"a-secret-of-this-test-{uuid.uuid4()}"


@pytest.fixture
def logger(caplog: pytest.LogCaptureFixture) -> logging.Logger:
    set_up_logs()
    SECRETS.learn("a test's secret", SECRET)
    caplog.set_level("DEBUG")
    return logging.getLogger("some.library")


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


def test_a_fault_of_the_program_keeps_its_traceback_too() -> None:
    record = record_of(errors.Unexpected("KeyError: x"))
    assert NamedErrorsInOneLine().filter(record)
    assert "Traceback" in logging.Formatter().format(record)


@pytest.mark.parametrize(
    ("level", "message", "is_said"),
    [
        (logging.INFO, "Running hook 'announce' in response to entering state 'Completed'", False),
        (logging.INFO, "Hook 'announce' finished running successfully", False),
        (logging.ERROR, "An error was encountered while running hook 'announce'", True),
        (logging.INFO, "Finished in state Completed()", True),
    ],
)
def test_hooks_are_not_mentioned_unless_they_fail(level: int, message: str, is_said: bool) -> None:
    assert HooksUnmentioned().filter(logging.LogRecord("x", level, __file__, 1, message, (), None)) == is_said


def test_no_message_holds_a_secret(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    logger.info("with a value: %s", SECRET)
    logger.info("at once: " + SECRET)  # noqa: G003 (somebody does)
    logger.debug({"in": ["an object", SECRET]})
    assert caplog.text.count("***") == 3
    assert SECRET not in caplog.text


def test_no_traceback_holds_a_secret(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError(SECRET)  # noqa: TRY301 (a record has a traceback only so)
    except ValueError:
        logger.exception("failed")
    assert "ValueError: ***" in caplog.text
    assert SECRET not in caplog.text


def test_a_record_that_does_not_fit_its_values_is_loggings_own_matter(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logger.info("%d", "no number")
    assert "Traceback" not in capsys.readouterr().err


def test_records_without_a_secret_stay_as_they_are(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    logger.info("%s of %d", "one", 2)
    assert (caplog.records[0].msg, caplog.records[0].args) == ("%s of %d", ("one", 2))


def test_setting_up_twice_is_setting_up_once() -> None:
    set_up_logs()
    before = logging.getLogRecordFactory()
    set_up_logs()
    assert logging.getLogRecordFactory() is before
