"""Which environment variables hold secrets, and what of them is a secret."""

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
"""Variables of the trusted side's environment whose values are secrets."""

_WITH_PASSWORD: Final = ("ANTHROPIC_BASE_URL", "PREFECT_API_DATABASE_CONNECTION_URL")
"""Variables whose values are URLs, which may hold a user and a password."""

_PROXY: Final = re.compile(r"(?:https?|all|wss?|socks)_proxy", re.IGNORECASE)
_AROUND: Final = "\\s\\x00\\u200b-\\u200f\\u2060\\ufeff"
_SURROUNDING: Final = re.compile(rf"\A[{_AROUND}]+|[{_AROUND}]+\Z")
"""White space and invisible characters: zero-width characters of a web page, the byte order mark of a file."""


def secrets_in(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield name and value of each secret: whole variables, and the passwords within those that hold URLs."""
    for name in ENVIRONMENT:
        yield name, environment.get(name, "")
    yield "the password in PREFECT_API_AUTH_STRING", _password(environment.get("PREFECT_API_AUTH_STRING", ""))
    for name in (*_WITH_PASSWORD, *filter(is_proxy, environment)):
        for password in _passwords_of_url(environment.get(name, "")):
            yield f"the password in {name}", password


def _passwords_of_url(url: str) -> Iterator[str]:
    """Yield the password of a URL, alone and with its user, as it is written and decoded."""
    user_and_password, at, _ = url.partition("://")[2].rpartition("@") if "://" in url else url.rpartition("@")
    if at and _password(user_and_password):
        for text in (user_and_password, unquote(user_and_password)):
            yield text
            yield _password(text)


def strip(value: str) -> str:
    """Return `value` without white space and invisible characters around it."""
    return _SURROUNDING.sub("", value)


def is_proxy(name: str) -> bool:
    """Whether an environment variable holds the address of a proxy; its letters may be capital or not."""
    return bool(_PROXY.fullmatch(name))


def _password(user_and_password: str) -> str:
    return user_and_password.partition(":")[2]
