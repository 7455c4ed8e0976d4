"""Redaction: the secrets that this process knows, and what has a secret's shape, taken out of text that leaves it.

The secrets are known to the process, not handed from call to call: a log line or an error can come from anywhere, and
the one that nobody thought of is the one that leaks.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Final
from urllib.parse import quote, quote_plus

from flows.literals import Literals
from flows.shapes import shapes_in

REDACTED: Final = "***"
GATEWAY_TOKEN: Final = "the model gateway's token"  # noqa: S105 (its name)
"""The one secret that the agent has; it is good for nothing when the run is over."""

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

_SHORTEST: Final = 8
"""Characters; of a shorter secret every other word would be redacted."""

_LAST_OF_LATIN_1: Final = "\xff"


class _Forms:
    """All forms of the known secrets, ready to be looked for."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.source: Final = names
        self._names: Final = {_encode(form): name for form, name in names.items()}
        self.in_text: Final = Literals(self._names)
        # Content need not be UTF-8. For nearly all secrets there is nothing more to look for.
        others = {form.encode("latin-1") for form in names if max(form) <= _LAST_OF_LATIN_1} - self._names.keys()
        self.in_bytes: Final = Literals([*self._names, *others]) if others else self.in_text

    def names_in(self, text: str) -> set[str]:
        """Return the names of the secrets that `text` holds."""
        return {self._names[form] for form in self.in_text.found_in(_encode(text))}


class Secrets:
    """Values that must not be seen, by name, in every form in which text could hold them."""

    def __init__(self) -> None:
        self._learning = Lock()
        self._names: Mapping[str, str] = {}
        self._prepared = _Forms({})

    def learn(self, name: str, value: str | None) -> None:
        """Know a secret from now on. One that is empty, short or known already changes nothing."""
        if not value or len(value) < _SHORTEST:
            return
        with self._learning:
            if value not in self._names:
                self._names = {**self._names, **dict.fromkeys(_forms(value), name)}

    def learn_environment(self, environment: Mapping[str, str]) -> None:
        """Know the values of the variables that hold secrets."""
        for name in ENVIRONMENT:
            self.learn(name, environment.get(name))

    def redact(self, text: str) -> str:
        """Return `text` without the known secrets and without what looks like one."""
        content = _encode(text)
        clean = self._known().in_text.replace(content, REDACTED.encode())
        if clean is not content:
            text = clean.decode("utf-8", "surrogatepass")
        return _without(shapes_in(clean), text)

    def redact_bytes(self, content: bytes) -> bytes:
        """Return `content` redacted in the same way. It need not be text; all that is replaced is ASCII."""
        clean = self._known().in_bytes.replace(content, REDACTED.encode())
        shapes = shapes_in(clean)
        return _without(shapes, clean.decode("latin-1")).encode("latin-1") if shapes else clean

    def found_in(self, text: str) -> set[str]:
        """Return the names of the known secrets that `text` holds."""
        return self._known().names_in(text)

    def _known(self) -> _Forms:
        """Return the forms, prepared when they are first needed after a change: that takes up to half a second."""
        names, prepared = self._names, self._prepared
        if prepared.source is not names:
            prepared = self._prepared = _Forms(names)
        return prepared


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # a file name that is not UTF-8 has lone surrogates


def _without(shapes: list[re.Pattern[str]], text: str) -> str:
    for shape in shapes:
        text = shape.sub(_keep_around, text)
    return text


def _keep_around(found: re.Match[str]) -> str:
    around = found.groupdict()
    return f"{around.get('before', '')}{REDACTED}{around.get('after', '')}"


def _forms(value: str) -> Iterator[str]:
    yield value
    yield from {quote(value, safe=""), quote(value), quote_plus(value), json.dumps(value)[1:-1]}
    yield value.encode().hex()
    yield from _base64_forms(value.encode())


def _base64_forms(value: bytes) -> Iterator[str]:
    """Yield what base64 makes of `value` at each place where it can stand within other bytes."""
    for offset, first in ((0, 0), (1, 2), (2, 3)):
        last = (offset + len(value)) * 8 // 6
        core = b64encode(bytes(offset) + value).decode()[first:last]
        yield from {core, core.replace("+", "-").replace("/", "_")}


SECRETS: Final = Secrets()
"""Those of this process."""

redact = SECRETS.redact
