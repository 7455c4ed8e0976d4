"""Reads the fields of answers. A field of another type is an error, and never becomes a part of an address."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from flows.errors import PullRequestRefused, RunError


@contextmanager
def readable(name: type[RunError] = PullRequestRefused) -> Iterator[None]:
    """Give the errors of a parser a name."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise name(
            f"the forge's API gave an answer of an unknown form ({type(error).__name__}: {error}): check that "
            "forge_api_url is the API of this kind of forge"
        ) from error


def newest(statuses: Iterable[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return the newest status of each name from a list that begins with the newest."""
    result: dict[str, dict[str, Any]] = {}
    for status in statuses:
        result.setdefault(text_of(status[name]), status)
    return list(result.values())


def number_text(value: object) -> str:
    """Return a number in an answer as the text of an id, which becomes a part of addresses."""
    if type(value) is not int:
        raise TypeError(f"{value!r} is not an id")
    return str(value)


def line_number(*values: object) -> int:
    """Return the first line number among values in an answer; 0 if there is none."""
    return next((value for value in values if type(value) is int and value > 0), 0)


def text_of(value: object) -> str:
    """Return a text in an answer; null is an empty text."""
    if not isinstance(value, str | None):
        raise TypeError("a text is something else")
    return value or ""


def moment(value: object) -> datetime:
    """Return a moment in an answer, in UTC."""
    parsed = datetime.fromisoformat(str(value))
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)


def moment_after(created: datetime, value: object) -> datetime:
    """Return the moment of an edit; that of the creation if there was none."""
    return max(created, moment(value)) if value else created
