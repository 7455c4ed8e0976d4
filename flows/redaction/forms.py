"""The forms in which text can contain a secret: percent-encoded, JSON, Python, HTML, hexadecimal or base64."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from html import escape
from urllib.parse import quote, quote_plus


def forms_of(value: str) -> Iterator[str]:
    """Yield `value` as it is, and in every other form in which text can contain it."""
    try:
        # An environment variable may contain bytes that are not UTF-8.
        encoded = value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # JSON may contain half of a surrogate pair.
        encoded = value.encode("utf-8", "surrogatepass")
    yield from (value, encoded.decode("latin-1"), escape(value), encoded.hex())
    for form in (quote(encoded, safe=""), quote(encoded), quote_plus(encoded)):
        yield from (form, re.sub("%..", lambda code: code[0].lower(), form))
    for form in {*_json_forms(value), *_repr_forms(value, encoded)}:
        yield from (form, json.dumps(form)[1:-1])  # an event of Claude Code contains JSON of other programs as text
    yield from _base64_forms(encoded)


def _json_forms(value: str) -> Iterator[str]:
    ascii_form, unicode_form = json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]
    yield from (ascii_form, unicode_form, ascii_form.replace("/", "\\/"))
    yield re.sub(r"\\u[0-9a-f]{4}", lambda code: f"\\u{code[0][2:].upper()}", ascii_form)
    # Go's encoder escapes these three characters.
    yield re.sub("[<>&]", lambda character: f"\\u{ord(character[0]):04x}", unicode_form)


def _repr_forms(value: str, encoded: bytes) -> Iterator[str]:
    for form in (repr(value)[1:-1], ascii(value)[1:-1], repr(encoded)[2:-1]):
        # Python escapes an apostrophe or not, depending on the rest of the text.
        unescaped = form.replace("\\'", "'")
        yield from (unescaped, unescaped.replace("'", "\\'"))


def _base64_forms(value: bytes) -> Iterator[str]:
    """Yield the base64 forms of `value` within other bytes: they depend on its offset, modulo 3."""
    for offset, first in ((0, 0), (1, 2), (2, 3)):
        last = (offset + len(value)) * 8 // 6
        core = b64encode(bytes(offset) + value).decode()[first:last]
        yield from {core, core.replace("+", "-").replace("/", "_")}
