"""Redaction: the secrets that this process knows, and what has a secret's shape, taken out of text that leaves it.

The secrets are known to the process, not handed from call to call: a log line or an error can come from anywhere, and
the one that nobody thought of is the one that leaks.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import quote, quote_plus

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

TOKEN_SHAPES: Final = (
    re.compile(r"gh[pousr]_[A-Za-z0-9]{30,255}"),
    re.compile(r"github_pat_[A-Za-z0-9_]{22,255}"),
    re.compile(r"gl(?:pat|oas|rt|cbt|dt|ptt)-[A-Za-z0-9_.-]{20,255}"),
    re.compile(r"AT(?:BB|CTT3)[A-Za-z0-9_=-]{20,300}"),
    re.compile(r"A(?:KIA|SIA)[A-Z2-7]{16}"),
    re.compile(r"sk-ant-[A-Za-z0-9_-]{16,300}"),
    re.compile(r"pn[ub]_[A-Za-z0-9]{30,64}"),
    re.compile(r"xox[abeoprs]-[A-Za-z0-9-]{10,250}"),
    re.compile(r"eyJ[A-Za-z0-9_-]{10,4000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,1000}"),
    re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-\"]{20,20000}(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"),
)
"""Tokens of GitHub, GitLab, Bitbucket, AWS, Anthropic, Prefect and Slack, JSON web tokens, and private keys. One
pattern at a time: each begins with letters that the matcher can look for fast."""

_SHAPES: Final = (
    *TOKEN_SHAPES,
    re.compile(r"(?P<before>://)[^\s/:@\"'\\]{1,256}:[^\s/@\"'\\]{1,1024}(?P<after>@)"),
    re.compile(r"(?P<before>uthorization: (?:[Bb]asic|[Bb]earer) )[^\s\"'\\]{8,4000}"),
)


class Secrets:
    """Values that must not be seen, by name, in every form in which text could hold them."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._known: re.Pattern[str] | None = None

    def learn(self, name: str, value: str | None) -> None:
        """Know a secret from now on. One that is empty, short or known already changes nothing."""
        if not value or len(value) < _SHORTEST or value in self._names:
            return
        self._names = {**self._names, **dict.fromkeys(_forms(value), name)}
        # The longest first: a form may begin with another.
        self._known = re.compile("|".join(re.escape(form) for form in sorted(self._names, key=len, reverse=True)))

    def learn_environment(self, environment: Mapping[str, str]) -> None:
        """Know the values of the variables that hold secrets."""
        for name in ENVIRONMENT:
            self.learn(name, environment.get(name))

    def redact(self, text: str) -> str:
        """Return `text` without the known secrets and without what looks like one."""
        if self._known:
            text = self._known.sub(REDACTED, text)
        for shape in _SHAPES:
            text = shape.sub(_keep_around, text)
        return text

    def redact_bytes(self, content: bytes) -> bytes:
        """Return `content`, which need not be text, redacted likewise; all that is replaced is ASCII."""
        return self.redact(content.decode("latin-1")).encode("latin-1")

    def found_in(self, text: str) -> set[str]:
        """Return the names of the known secrets that `text` holds."""
        known, names = self._known, self._names
        return {names[found[0]] for found in known.finditer(text)} if known else set()


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
