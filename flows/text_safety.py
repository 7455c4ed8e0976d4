"""Makes untrusted text safe to display and to store. Only this module defines which characters are unsafe.

The agent, servers and repositories write text that reaches terminals, logs, reports and Prefect's database. A line
break can forge a log line, an escape sequence can move a terminal's cursor, and a bidirectional character can change
the order in which text is displayed. Unicode's tag characters can hide a whole text. Half of a surrogate pair cannot be
encoded as UTF-8, and PostgreSQL cannot store a NUL. `flows.reporting.markdown` has the additional rules of Markdown.
"""

import math
import re
from typing import Any, Final

from flows.redaction import redact

ASCII_CONTROLS: Final = r"\x00-\x1f\x7f"
"""ASCII control characters. Like the constants below, this text belongs inside a character class of a regular
expression."""

_CONTROLS_BUT_TAB_AND_NEWLINE: Final = r"\x00-\x08\x0b-\x1f\x7f-\x9f"
"""C0 and C1 control characters (ECMA-48) and DEL."""

_LINE_SEPARATORS: Final = r"\x0b-\x0d\x1c-\x1e\x85\u2028\u2029"
"""The characters, besides the newline, at which `str.splitlines` splits."""

_BIDIRECTIONAL: Final = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""Formatting characters of the bidirectional algorithm (Unicode UAX #9)."""

_HIDDEN: Final = r"\u180e\u206a-\u206f\ufff9-\ufffb\U000e0000-\U000e007f"
"""Formatting characters that Unicode deprecates, and Unicode's tag characters, which can spell out an invisible
text."""

_NONCHARACTERS: Final = r"\ufdd0-\ufdef" + "".join(rf"\U{plane:04x}fffe\U{plane:04x}ffff" for plane in range(0x11))
"""Code points that are never characters (Unicode, section 23.7). Programs use them internally as markers."""

_ZERO_WIDTH: Final = (
    r"\u200b-\u200d\u2060-\u2064\ufeff"
    r"\xad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\uffa0"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\ufe00-\ufe0d\U000e0100-\U000e01ef"  # variation selectors, except those of emoji
)
"""Invisible characters that some writing systems, music or emoji need. `printable` keeps them."""

_SURROGATES: Final = r"\ud800-\udfff"
"""Halves of surrogate pairs. They come from JSON's `\\ud83d` and from file names that are not UTF-8."""

_ESCAPE_SEQUENCE: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # CSI: colours, the cursor
    r"|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC and other strings: titles, links
    r"|[ -/]*[0-Z\\^-~])"
)
"""An escape sequence of a terminal (ECMA-48, section 5)."""

_LINE_SEPARATOR: Final = re.compile(rf"\r\n|[{_LINE_SEPARATORS}]+")
_REMOVED: Final = re.compile(rf"[{_CONTROLS_BUT_TAB_AND_NEWLINE}{_BIDIRECTIONAL}{_HIDDEN}{_NONCHARACTERS}]")
_ZERO_WIDTH_CHARACTER: Final = re.compile(f"[{_ZERO_WIDTH}]")
_SURROGATE: Final = re.compile(f"[{_SURROGATES}]")
_UNSAFE: Final = re.compile(
    rf"[{_CONTROLS_BUT_TAB_AND_NEWLINE}{_LINE_SEPARATORS}{_BIDIRECTIONAL}{_HIDDEN}{_NONCHARACTERS}{_SURROGATES}]"
)
_INVISIBLE: Final = re.compile(f"{_UNSAFE.pattern[:-1]}{_ZERO_WIDTH}]")


def printable(text: str) -> str:
    """Return the text without unsafe characters. Line breaks stay, and half of a surrogate pair becomes `?`."""
    if not _UNSAFE.search(text):
        return text
    lines = _LINE_SEPARATOR.sub("\n", _ESCAPE_SEQUENCE.sub("", text))
    return _SURROGATE.sub("?", _REMOVED.sub("", lines))


def one_line(text: str) -> str:
    """Return the text without unsafe characters on one line, for a log line, a table cell or a row of a terminal."""
    return " ".join(printable(text).split())


def without_zero_width(text: str) -> str:
    """Return the text without invisible characters, which can hide a word from a program that looks for it."""
    return _ZERO_WIDTH_CHARACTER.sub("", text)


def visible(text: str) -> str:
    """Return the text without escape sequences. Each invisible character becomes its code point, like `[U+200B]`."""
    plain = _ESCAPE_SEQUENCE.sub("", text.replace("\r\n", "\n"))
    return _INVISIBLE.sub(lambda match: f"[U+{ord(match[0]):04X}]", plain)


def sanitize(text: str) -> str:
    """Return the text in a form that may leave this process: redacted, and without unsafe characters."""
    redacted = redact(text)
    safe = printable(redacted)
    # A removed character may have split a secret, which only the second search can find.
    return safe if safe == redacted else redact(safe)


def sanitize_json(value: Any) -> Any:  # noqa: ANN401 (JSON)
    """Return a JSON value with all its strings sanitized. A number that JSON lacks, such as NaN, becomes None."""
    match value:
        case str():
            return sanitize(value)
        case float() if not math.isfinite(value):
            return None
        case dict():
            return {sanitize_json(key): sanitize_json(item) for key, item in value.items()}
        case list() | tuple():
            return [sanitize_json(item) for item in value]
    return value


def is_encodable(text: str) -> bool:
    """Return whether UTF-8 can encode the text."""
    return not _SURROGATE.search(text)
