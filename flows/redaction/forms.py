"""Lists the forms in which text can contain a secret: percent-encoded, quoted, hexadecimal and base64."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from html import escape
from typing import Final
from urllib.parse import quote, quote_plus

_SHORTEST_LINE: Final = 16
_LINE_OF_A_SECRET: Final = re.compile(rf"[!-~]{{{_SHORTEST_LINE},}}")

_SAFE_CHARACTERS: Final = ("", "/", "!*'()", ";,/?:@&=+$-_.!~*'()#")
"""The characters that percent-encoding leaves unchanged, for each of four encoders: Python's `quote` with `safe=""` and
with `safe="/"`, and JavaScript's `encodeURIComponent` and `encodeURI`."""

_APOSTROPHES: Final = ("&#x27;", "&#39;", "&apos;", "'")
_QUOTATION_MARKS: Final = ("&quot;", "&#34;", '"')


def forms_of(value: str) -> Iterator[str]:
    """Yield `value` and all its forms that programs do not break into lines: all except hexadecimal and base64."""
    encoded = _encode(value)
    yield from (value, encoded.decode("latin-1"))
    yield from _html_forms(value)
    for safe in _SAFE_CHARACTERS:
        yield from _either_case(quote(encoded, safe=safe))
    yield from _either_case(quote_plus(encoded))
    for form in {*_json_forms(value), *_repr_forms(value, encoded)}:
        yield from (form, json.dumps(form)[1:-1])  # events of Claude Code contain JSON of other programs as text
    for form in _shell_forms(value):
        yield form
        yield from _json_forms(form)
    for line in value.splitlines()[1:] and value.splitlines():
        # A program may print one line of a private key. A line with spaces may be ordinary text.
        if _LINE_OF_A_SECRET.fullmatch(line) and not line.startswith("-----"):
            yield line


def encoded_forms_of(value: str) -> Iterator[str]:
    """Yield `value` in hexadecimal and base64: the forms that programs break into lines."""
    encoded = _encode(value)
    yield from (encoded.hex(), encoded.hex().upper())
    yield from _base64_forms(encoded)


def _encode(value: str) -> bytes:
    try:
        # An environment variable may contain bytes that are not UTF-8.
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # JSON may contain half of a surrogate pair.
        return value.encode("utf-8", "surrogatepass")


def _html_forms(value: str) -> Iterator[str]:
    without_quotes = escape(value, quote=False)
    for apostrophe in _APOSTROPHES:
        for quotation_mark in _QUOTATION_MARKS:
            yield without_quotes.replace("'", apostrophe).replace('"', quotation_mark)


def _either_case(percent_encoded: str) -> Iterator[str]:
    yield from (percent_encoded, re.sub("%..", lambda code: code[0].lower(), percent_encoded))


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


def _shell_forms(value: str) -> Iterator[str]:
    """Yield `value` as a shell's commands `set` and `export -p` print it, in single and in double quotes."""
    yield value.replace("'", "'\\''")
    yield re.sub(r'["$`\\]', r"\\\g<0>", value)


def _base64_forms(value: bytes) -> Iterator[str]:
    """Yield the base64 digits of `value` within longer data, for each of its three possible offsets modulo 3."""
    for offset, first in ((0, 0), (1, 2), (2, 3)):
        last = (offset + len(value)) * 8 // 6
        core = b64encode(bytes(offset) + value).decode()[first:last]
        yield from {core, core.replace("+", "-").replace("/", "_")}
