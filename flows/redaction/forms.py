"""The forms in which text of other kinds holds a secret: percent-encoded, JSON, Python, HTML, hexadecimal, base64."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from html import escape
from urllib.parse import quote, quote_plus


def forms_of(value: str) -> Iterator[str]:
    """Yield `value` as it is, and as text of other kinds holds it."""
    encoded = _encode(value)
    yield from (value, encoded.decode("latin-1"), escape(value), encoded.hex())
    yield from _percent_forms(encoded)
    for escaped in {*_json_forms(value), *_repr_forms(value, encoded)}:
        yield from (escaped, json.dumps(escaped)[1:-1])  # an event of Claude Code holds other programs' JSON as text
    yield from _base64_forms(encoded)


def _encode(value: str) -> bytes:
    try:
        return value.encode(
            "utf-8", "surrogateescape"
        )  # a variable of the environment may hold bytes that are not UTF-8
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")  # JSON may hold half of a surrogate pair


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
