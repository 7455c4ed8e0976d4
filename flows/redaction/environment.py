"""Lists the environment variables that hold secrets, and extracts the secrets from their values."""

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import unquote

ENVIRONMENT: Final = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "PREFECT_API_AUTH_STRING",
    "PREFECT_API_DATABASE_CONNECTION_URL",
    "PREFECT_API_KEY",
)
"""Variables whose values are secrets, in the environment of the flow's process."""

_WITH_PASSWORD: Final = ("ANTHROPIC_BASE_URL", "PREFECT_API_DATABASE_CONNECTION_URL")
"""Variables whose values are URLs that may contain a user and a password."""

_PROXY: Final = re.compile(r"(?:https?|all|wss?|socks)_proxy", re.IGNORECASE)
_PADDING: Final = "\\s\\x00\\u200b-\\u200f\\u2060\\ufeff"
_SURROUNDING: Final = re.compile(rf"\A[{_PADDING}]+|[{_PADDING}]+\Z")
"""Matches white space and invisible characters around a value. A value from a web page may have zero-width characters
around it, and a value from a file may have a byte order mark."""

_QUOTED: Final = re.compile(r"(?s)(?P<quote>[\"'])(?P<value>(?:(?!(?P=quote)).)*)(?P=quote)")
"""Matches a value in quotes that does not contain the same kind of quote. The text `"a" and "b"` does not match."""


def secrets_in(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the name and the value of each secret.

    A secret is the whole value of a variable (empty if the variable is not set), or the password within a value.
    """
    for name in ENVIRONMENT:
        yield name, environment.get(name, "")
    auth_string = without_quotes(environment.get("PREFECT_API_AUTH_STRING", "").strip("\r\n"))
    yield "the password in PREFECT_API_AUTH_STRING", _password(auth_string)
    for name in (*_WITH_PASSWORD, *filter(is_proxy, environment)):
        for password in _passwords_of_url(environment.get(name, "")):
            yield f"the password in {name}", password


def _passwords_of_url(url: str) -> Iterator[str]:
    """Yield the texts that reveal the password in a URL: `user:password`, and the password alone.

    Each text is yielded twice: as it is in the URL, and percent-decoded.
    """
    user_and_password, at, _ = url.partition("://")[2].rpartition("@") if "://" in url else url.rpartition("@")
    if at and _password(user_and_password):
        for text in (user_and_password, unquote(user_and_password)):
            yield text
            yield _password(text)


def strip(value: str) -> str:
    """Return `value` without white space, invisible characters and quotes around it."""
    return _SURROUNDING.sub("", without_quotes(_SURROUNDING.sub("", value)))


def without_quotes(value: str) -> str:
    """Return `value` without quotes around it. `docker run --env-file` makes such quotes part of the value."""
    match = _QUOTED.fullmatch(value)
    return match["value"] if match else value


def is_proxy(name: str) -> bool:
    """Return whether an environment variable holds the address of a proxy; the case of the name does not matter."""
    return bool(_PROXY.fullmatch(name))


def _password(user_and_password: str) -> str:
    return user_and_password.partition(":")[2]
