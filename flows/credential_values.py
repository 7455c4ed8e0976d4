"""The text of credentials: white space around one is removed, and one that cannot be sent is refused by name.

A key that was saved by `echo key > file` ends in a line break. HTTP headers cannot carry that, and a library that
refuses such a header quotes it, with the key, in its error.
"""

import re
from collections.abc import Mapping, MutableMapping
from typing import Final

from flows.errors import InvalidCredential
from flows.redaction import ENVIRONMENT, is_proxy, strip
from flows.text_safety import ASCII_CONTROLS

_AUTH: Final = "PREFECT_API_AUTH_STRING"
_AWS_VARIABLES: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_ADDRESSES: Final = ("ANTHROPIC_BASE_URL",)
"""Variables that can hold a user and a password within a URL."""

_FAULTS: Final = (
    (re.compile(r"[\r\n]"), "a line break"),
    (re.compile(r"\s"), "white space"),
    (re.compile(f"[{ASCII_CONTROLS}]"), "a control character"),
    (re.compile(r"[^\x21-\x7e]"), "a character that is not ASCII"),
)
_BASE64_FAULTS: Final = tuple(fault for fault in _FAULTS if fault[1] in {"a line break", "a control character"})
"""What is sent in base64 may hold spaces and any letter."""


def usable(value: str, name: str, source: str) -> str:
    """Return a credential without white space around it.

    Args:
        value: The credential, which no message quotes.
        name: What it is, such as "the Anthropic API key".
        source: Where it comes from, such as "the environment variable ANTHROPIC_API_KEY".

    Raises:
        InvalidCredential: No HTTP header can carry it.
    """
    stripped = strip(value)
    _check(stripped, name, source, _FAULTS, "store it again, as one word in plain ASCII")
    return stripped


def strip_environment(environment: MutableMapping[str, str]) -> None:
    """Remove the white space around each credential in `environment`, for everything that reads it from there."""
    for name in _credentials(environment):
        value = environment[name]
        # A password may end in a space; no password ends in a line break.
        stripped = value.strip("\r\n") if name == _AUTH else strip(value)
        if stripped != value:
            environment[name] = stripped


def check_environment(environment: Mapping[str, str]) -> None:
    """Raise `InvalidCredential` for the first credential in `environment`, already stripped, that cannot be sent."""
    check_connection(environment)
    for name in _AWS_VARIABLES:
        usable(environment.get(name, ""), "the credential", _variable(name))


def check_connection(environment: Mapping[str, str]) -> None:
    """`check_environment` for what Prefect itself sends before a flow can say what is wrong with it."""
    usable(environment.get("PREFECT_API_KEY", ""), "the Prefect API key", _variable("PREFECT_API_KEY"))
    user_and_password = environment.get(_AUTH, "")
    _check(user_and_password, "the credential", _variable(_AUTH), _BASE64_FAULTS, "store it again, in one line")
    for name in filter(is_proxy, environment):
        advice = "percent-encode it, a space as %20"
        _check(environment[name], "the address of the proxy", _variable(name), _FAULTS, advice)


def _variable(name: str) -> str:
    return f"the environment variable {name}"


def _credentials(environment: Mapping[str, str]) -> list[str]:
    known = {*ENVIRONMENT, *_AWS_VARIABLES, *_ADDRESSES}
    return [name for name in environment if name in known or is_proxy(name)]


def _check(value: str, name: str, source: str, faults: tuple[tuple[re.Pattern[str], str], ...], advice: str) -> None:
    for pattern, fault in faults:
        if pattern.search(value):
            raise InvalidCredential(f"{name} from {source} holds {fault}: {advice}")
