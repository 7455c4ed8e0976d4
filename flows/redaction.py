"""Redaction: the secrets that this process knows, and what has a secret's shape, taken out of text that leaves it.

The secrets are known to the process, not handed from call to call: a log line or an error can come from anywhere, and
the one that nobody thought of is the one that leaks.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from html import escape
from typing import Final
from urllib.parse import quote, quote_plus, unquote

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

_WITH_PASSWORD: Final = ("ANTHROPIC_BASE_URL", "PREFECT_API_DATABASE_CONNECTION_URL")
"""Variables whose values are URLs, which may hold a user and a password."""

_PROXY: Final = re.compile(r"(?:https?|all|wss?|socks)_proxy", re.IGNORECASE)
_AROUND: Final = "\\s\\x00\\u200b-\\u200f\\u2060\\ufeff"
_SURROUNDING: Final = re.compile(rf"\A[{_AROUND}]+|[{_AROUND}]+\Z")
"""White space, and what nobody sees either: zero-width characters of a web page, the byte order mark of a file."""

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
        """Know a secret from now on, with and without white space around it.

        One that is empty, short or known already changes nothing.
        """
        value = strip(value or "")
        if len(value) < _SHORTEST or value in self._names:
            return
        self._names = {**self._names, **dict.fromkeys(_forms(value), name)}
        # The longest first: a form may begin with another.
        self._known = re.compile("|".join(re.escape(form) for form in sorted(self._names, key=len, reverse=True)))

    def learn_environment(self, environment: Mapping[str, str]) -> None:
        """Know the values of the variables that hold secrets, and the passwords within those that hold URLs."""
        for name in ENVIRONMENT:
            self.learn(name, environment.get(name))
        self.learn("the password in PREFECT_API_AUTH_STRING", _password(environment.get("PREFECT_API_AUTH_STRING", "")))
        for name in (*_WITH_PASSWORD, *filter(is_proxy, environment)):
            self._learn_url(f"the password in {name}", environment.get(name, ""))

    def _learn_url(self, name: str, url: str) -> None:
        """Know the password of a URL, alone and with its user, as it is written and as it is meant."""
        user_and_password, at, _ = url.partition("://")[2].rpartition("@") if "://" in url else url.rpartition("@")
        if at and _password(user_and_password):
            for text in (user_and_password, unquote(user_and_password)):
                self.learn(name, text)
                self.learn(name, _password(text))

    def redact(self, text: str) -> str:
        """Return `text` without the known secrets and without what looks like one."""
        if self._known:
            text = self._known.sub(REDACTED, text)
        for shape in _SHAPES:
            text = shape.sub(_keep_around, text)
        return text

    def redact_bytes(self, content: bytes) -> bytes:
        """Return `content`, which need not be text, redacted too; all that is replaced is ASCII."""
        return self.redact(content.decode("latin-1")).encode("latin-1")

    def found_in(self, text: str) -> set[str]:
        """Return the names of the known secrets that `text` holds."""
        known, names = self._known, self._names
        return {names[found[0]] for found in known.finditer(text)} if known else set()


def _keep_around(found: re.Match[str]) -> str:
    around = found.groupdict()
    return f"{around.get('before', '')}{REDACTED}{around.get('after', '')}"


def strip(value: str) -> str:
    """Return `value` without white space and invisible characters around it."""
    return _SURROUNDING.sub("", value)


def is_proxy(name: str) -> bool:
    """Whether an environment variable holds the address of a proxy; its letters may be capital or not."""
    return bool(_PROXY.fullmatch(name))


def _password(user_and_password: str) -> str:
    return user_and_password.partition(":")[2]


def _forms(value: str) -> Iterator[str]:
    """Yield `value` as it is, and as text of other kinds holds it."""
    # A variable of the environment may hold bytes that are not UTF-8.
    encoded = value.encode("utf-8", "surrogateescape")
    yield from (value, encoded.decode("latin-1"), escape(value), encoded.hex())
    yield from _percent_forms(encoded)
    for escaped in {*_json_forms(value), *_repr_forms(value, encoded)}:
        yield from (escaped, json.dumps(escaped)[1:-1])  # an event of Claude Code holds other programs' JSON as text
    yield from _base64_forms(encoded)


def _percent_forms(value: bytes) -> Iterator[str]:
    for form in (quote(value, safe=""), quote(value), quote_plus(value)):
        yield from (form, re.sub("%..", lambda code: code[0].lower(), form))


def _json_forms(value: str) -> Iterator[str]:
    ascii_form = json.dumps(value)[1:-1]
    yield from (ascii_form, json.dumps(value, ensure_ascii=False)[1:-1], ascii_form.replace("/", "\\/"))
    yield re.sub(r"\\u[0-9a-f]{4}", lambda code: f"\\u{code[0][2:].upper()}", ascii_form)
    # Go's encoder.
    yield re.sub("[<>&]", lambda mark: f"\\u{ord(mark[0]):04x}", json.dumps(value, ensure_ascii=False)[1:-1])


def _repr_forms(value: str, encoded: bytes) -> Iterator[str]:
    for form in (repr(value)[1:-1], ascii(value)[1:-1], repr(encoded)[2:-1]):
        # Which marks are escaped depends on the text around.
        bare = form.replace("\\'", "'")
        yield from (bare, bare.replace("'", "\\'"))


def _base64_forms(value: bytes) -> Iterator[str]:
    """Yield what base64 makes of `value` at each place where it can stand within other bytes."""
    for offset, first in ((0, 0), (1, 2), (2, 3)):
        last = (offset + len(value)) * 8 // 6
        core = b64encode(bytes(offset) + value).decode()[first:last]
        yield from {core, core.replace("+", "-").replace("/", "_")}


SECRETS: Final = Secrets()
"""Those of this process."""

redact = SECRETS.redact
