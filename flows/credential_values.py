"""The text of credentials: white space around one is removed, and one that cannot be sent is refused by name.

A key that was saved by `echo key > file` ends in a line break. HTTP headers cannot carry that, and a library that
refuses such a header quotes it, with the key, in its error.
"""

import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Final

from flows.errors import InvalidCredential
from flows.redaction import ENVIRONMENT, is_proxy, strip

PREFECT_VARIABLES: Final = ("PREFECT_API_KEY", "PREFECT_API_AUTH_STRING")
"""What Prefect itself reads and sends, before a flow can say what is wrong with it."""

_AWS_VARIABLES: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_ADDRESSES: Final = ("ANTHROPIC_BASE_URL",)
"""Variables that can hold a user and a password within a URL."""

_FAULTS: Final = (
    (re.compile(r"[\r\n]"), "a line break"),
    (re.compile(r"\s"), "white space"),
    (re.compile(r"[\x00-\x1f\x7f]"), "a control character"),
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
        stripped = value.strip("\r\n") if name == "PREFECT_API_AUTH_STRING" else strip(value)
        if stripped != value:
            environment[name] = stripped


def check_environment(environment: Mapping[str, str], names: Iterable[str] = ()) -> None:
    """Raise `InvalidCredential` for the first credential in `environment` that cannot be sent.

    Args:
        environment: Variables, already stripped.
        names: The variables to check; none for all that every run can use.
    """
    for name in names or (*PREFECT_VARIABLES, *_AWS_VARIABLES, *filter(is_proxy, environment)):
        value, source = environment.get(name, ""), f"the environment variable {name}"
        if is_proxy(name):
            _check(value, "the address of the proxy", source, _FAULTS, "percent-encode it, a space as %20")
        elif name == "PREFECT_API_AUTH_STRING":
            _check(value, "Prefect's user and password", source, _BASE64_FAULTS, "store it again, in one line")
        else:
            usable(value, "the credential", source)


def _credentials(environment: Mapping[str, str]) -> list[str]:
    known = {*ENVIRONMENT, *_AWS_VARIABLES, *_ADDRESSES}
    return [name for name in environment if name in known or is_proxy(name)]


def _check(value: str, name: str, source: str, faults: tuple[tuple[re.Pattern[str], str], ...], advice: str) -> None:
    for pattern, fault in faults:
        if pattern.search(value):
            raise InvalidCredential(f"{name} from {source} holds {fault}: {advice}")
