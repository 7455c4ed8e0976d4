"""Strips white space and quotes around credentials, and refuses credentials that HTTP cannot transmit.

For example, a key that was saved by `echo key > file` ends in a line break, which an HTTP header cannot contain. A
library that refuses such a header quotes the header in its error, and so reveals the key.
"""

import re
from collections.abc import Mapping, MutableMapping
from typing import Final

from flows.certificates import check_certificates, set_aws_certificates
from flows.errors import InvalidCredential, InvalidEndpoint
from flows.redaction import ENVIRONMENT, is_proxy, strip, without_quotes
from flows.text_safety import ASCII_CONTROLS

_AUTH: Final = "PREFECT_API_AUTH_STRING"
_AWS_VARIABLES: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_PREFIXES: Final = ("AWS_", "ANTHROPIC_", "PREFECT_API_URL")
"""A variable whose name begins with one of these is read by other libraries, and its value is one word."""

_ENDPOINTS: Final = ("AWS_ENDPOINT_URL", "ANTHROPIC_BASE_URL")
_ENDPOINT: Final = re.compile(
    r"(?i:https?)://(?:[^\s/?#@]*@)?(?:\[[0-9a-f:.]+\]|[\w.-]+)(?::\d{1,5})?(?:/\S*)?", re.ASCII
)

_FAULTS: Final = (
    (re.compile(r"[\r\n]"), "a line break"),
    (re.compile(r"\s"), "white space"),
    (re.compile(f"[{ASCII_CONTROLS}]"), "a control character"),
    (re.compile(r"[^\x21-\x7e]"), "a character that is not ASCII"),
)
_BASE64_FAULTS: Final = tuple(fault for fault in _FAULTS if fault[1] in {"a line break", "a control character"})
"""The faults that a value can have if it is sent in base64. Such a value may contain spaces and any letter."""


def usable(value: str, name: str, source: str) -> str:
    """Return the credential without white space and quotes around it, if an HTTP header can contain the rest.

    Args:
        value: The credential. No message quotes it.
        name: The credential's name for messages, such as "the Anthropic API key".
        source: Where the credential comes from, such as "the environment variable ANTHROPIC_API_KEY".

    Raises:
        InvalidCredential: The credential contains a character that an HTTP header cannot contain.
    """
    stripped = strip(value)
    _check(stripped, name, source, _FAULTS, "store it again, as one word in plain ASCII")
    return stripped


def strip_environment(environment: MutableMapping[str, str]) -> None:
    """Strip white space and quotes around the credentials and addresses in `environment`, in place.

    `set_aws_certificates` describes the variables for CA certificates, which may be added.
    """
    for name in [name for name in environment if name in ENVIRONMENT or name.startswith(_PREFIXES) or is_proxy(name)]:
        value = environment[name]
        # A password may end in a space, but not in a line break.
        stripped = without_quotes(value.strip("\r\n")) if name == _AUTH else strip(value)
        if stripped != value:
            environment[name] = stripped
    set_aws_certificates(environment)


def check_environment(environment: Mapping[str, str]) -> None:
    """Check the credentials and the server addresses in `environment`, on which `strip_environment` was called before.

    Raises:
        InvalidCredential: A credential contains a character that cannot be sent.
        InvalidEndpoint: An address is not a URL.
        InvalidCertificates: A file of CA certificates does not exist or cannot be used.
    """
    check_connection(environment)
    for name in environment:
        if name.startswith(_ENDPOINTS):
            _check_endpoint(environment, name)
    for name in _AWS_VARIABLES:
        usable(environment.get(name, ""), "the credential", _variable(name))


def check_connection(environment: Mapping[str, str]) -> None:
    """Check the credentials and addresses that Prefect needs to connect to its server.

    Without a connection, no flow can report an error. This check therefore comes before the flow's own checks.

    Raises:
        InvalidCredential: A credential contains a character that cannot be sent.
        InvalidEndpoint: An address is not a URL.
        InvalidCertificates: A file of CA certificates does not exist or cannot be used.
    """
    check_certificates(environment)
    _check_endpoint(environment, "PREFECT_API_URL")
    usable(environment.get("PREFECT_API_KEY", ""), "the Prefect API key", _variable("PREFECT_API_KEY"))
    user_and_password = environment.get(_AUTH, "")
    _check(user_and_password, "the credential", _variable(_AUTH), _BASE64_FAULTS, "store it again, in one line")
    for name in filter(is_proxy, environment):
        advice = "percent-encode it, a space as %20"
        _check(environment[name], "the address of the proxy", _variable(name), _FAULTS, advice)


def _check_endpoint(environment: Mapping[str, str], name: str) -> None:
    """Raise `InvalidEndpoint` if the variable is set, but its value is not a URL.

    Libraries would retry a request to such an address for minutes.
    """
    address = environment.get(name, "")
    if not address or _ENDPOINT.fullmatch(address):
        return
    if "@" in address:
        raise InvalidEndpoint(f"{name} is not a URL: set it to a URL such as https://host:port")
    host = re.sub(r"\A(?:[a-z]+:/+|/+)", "", address)
    scheme = "http" if re.match(r"localhost\b|127\.|\[::1\]", host) else "https"
    url = f"{scheme}://{host}" if _ENDPOINT.fullmatch(f"{scheme}://{host}") else f"{scheme}://host:port"
    raise InvalidEndpoint(f"{name} is {address!r}, which is not a URL: set it to {url}")


def _variable(name: str) -> str:
    return f"the environment variable {name}"


def _check(value: str, name: str, source: str, faults: tuple[tuple[re.Pattern[str], str], ...], advice: str) -> None:
    for pattern, fault in faults:
        if pattern.search(value):
            raise InvalidCredential(f"{name} from {source} contains {fault}: {advice}")
