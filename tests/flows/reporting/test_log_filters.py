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


class Unprintable:
    """An object whose text cannot be made."""

    def __str__(self) -> str:
        raise RuntimeError(SECRET)

    __repr__ = __str__


@pytest.mark.parametrize(
    ("message", "arguments", "text"),
    [
        ("%d of them", ("not a number",), "%d of them (the arguments of this message cannot be shown: TypeError)"),
        (f"{SECRET} %s %s", ("one",), "*** %s %s (the arguments"),
        ("in %(name)s", ({"other": SECRET},), "in %(name)s (the arguments"),
        ("100 %", ("one",), "100 % (the arguments"),
        (
            "an object: %s",
            (Unprintable(),),
            "an object: %s (the arguments of this message cannot be shown: RuntimeError)",
        ),
        (Unprintable(), (), "Unprintable (the arguments"),
        ("half \ud83d and a NUL \x00: %s", ("\udcff",), "half ? and a NUL : ?"),
    ],
    ids=["number", "secret", "name", "percent", "argument", "object", "odd-text"],
)
def test_no_record_fails_or_is_lost(
    logger: logging.Logger,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    message: object,
    arguments: tuple[object, ...],
    text: str,
) -> None:
    logger.info(message, *arguments)
    [logged] = caplog.messages
    assert logged.startswith(text)
    assert SECRET not in logged
    assert "Traceback" not in capsys.readouterr().err


def test_no_stack_holds_a_secret(logger: logging.Logger) -> None:
    record = logger.makeRecord("x", logging.INFO, __file__, 1, "here", (), None, sinfo=f"Stack:\n  {SECRET} \ud83d")
    assert logging.Formatter().format(record) == "here\nStack:\n  *** ?"


def test_records_without_a_secret_are_unchanged(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    logger.info("%s of %d", "one", 2)
    assert (caplog.records[0].msg, caplog.records[0].args) == ("%s of %d", ("one", 2))


def test_setting_up_twice_has_no_further_effect() -> None:
    set_up_logs()
    before = logging.getLogRecordFactory()
    set_up_logs()
    assert logging.getLogRecordFactory() is before
