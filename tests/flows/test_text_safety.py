"""Text from outside: unsafe characters are removed or made visible at any position, and the rest is unchanged."""

import ast
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.errors import RunError
from flows.redaction import SECRETS
from flows.text_safety import is_encodable, one_line, printable, sanitize, sanitize_json, visible

ROOT = Path(__file__).parents[2]
HOSTILE = (
    "\x00", "\x07", "\x1b", "\x1f", "\x7f", "\x80", "\x9b", "\u202e", "\u2066", "\u200f", "\u061c", "\ud83d", "\ude00",
    "\udcff", "\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r", "\r\n", "\n", "\t", "\x1b[31m", "\x1b]0;t\x07",
    "\x1b]8;;http://x\x1b\\", "\x1b(B", "\x1bPq\x1b\\", "\u200b", "\ufeff", "\u2060", "a", "é", "😀", " ",
    "\U000e0001", "\U000e0041", "\U000e007f", "\u206a", "\u206f", "\ufff9", "\ufffb", "\u180e", "\ufdd0", "\ufdef",
    "\ufffe", "\uffff", "\U0001fffe", "\U0010ffff", "\u3164", "\xad", "\U000e0100", "\ufe00",
)  # fmt: skip
ANYTHING = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=3), max_size=12).map("".join)
BIDIRECTIONAL = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
SHOWN_FORMATS = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd" + "".join(
    map(chr, range(0x13430, 0x13440))
)
"""Format characters of scripts that are drawn: Unicode's prepended marks, and the joiners of hieroglyphs."""
MARKS = "\u061c\u200e\u200f"


def check_safe(text: str) -> None:
    """Check a text by Python's Unicode database, not by the patterns under test."""
    assert text.encode().decode() == text
    for character in text:
        assert unicodedata.category(character) != "Cc" or character in "\n\t"
        assert unicodedata.bidirectional(character) not in BIDIRECTIONAL
        assert character not in MARKS
        assert not 0xE0000 <= ord(character) <= 0xE007F
        assert not 0x206A <= ord(character) <= 0x206F
        assert character not in "\u180e\ufff9\ufffa\ufffb"
        assert ord(character) & 0xFFFE != 0xFFFE
        assert not 0xFDD0 <= ord(character) <= 0xFDEF
    assert text.splitlines() == (text.split("\n") if text else []) or text.endswith("\n")


@settings(max_examples=200)
@given(ANYTHING)
def test_printable_text_contains_no_unsafe_characters(text: str) -> None:
    safe = printable(text)
    check_safe(safe)
    assert printable(safe) == safe


@settings(max_examples=200)
@given(ANYTHING)
def test_one_line_is_one_line(text: str) -> None:
    check_safe(one_line(text))
    assert len(one_line(text).splitlines()) <= 1
    assert "\t" not in one_line(text)


@settings(max_examples=200)
@given(ANYTHING)
def test_visible_text_contains_no_invisible_characters(text: str) -> None:
    shown_text = visible(text)
    check_safe(shown_text)
    assert all(unicodedata.category(character) != "Cf" or character in SHOWN_FORMATS for character in shown_text)
    assert not re.search("[\u034f\u115f\u1160\u3164\uffa0\ufe00-\ufe0d\U000e0100-\U000e01ef]", shown_text)


@settings(deadline=None)
@given(
    st.text(st.characters(categories=["L", "M", "N", "P", "S", "Zs"]))
    | st.sampled_from(["a\n\tb", "\U0001f469\u200d\U0001f467", "\u0641\u0627\u200c\u0647\u0627"])
)
def test_harmless_text_is_unchanged(text: str) -> None:
    assert printable(text) == text
    assert sanitize(text) == text


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("done \ud83d", "done ?"),
        ("a\udcffb", "a?b"),
        ("\ud83d\ude00", "??"),
        ("a\x00b", "ab"),
        ("a\u202eb\u2066c\u061cd", "abcd"),
        ("a\x1b[31mred\x1b[0m", "ared"),
        ("\x1b]0;title\x07x\x1b]8;;http://x\x1b\\y", "xy"),
        ("\x1b(B\x1b[m\x1b7x\x1bc", "x"),
        ("\x1b", ""),
        ("a\r\nb\rc\u2028d\x85e", "a\nb\nc\nd\ne"),
        ("a\tb\n\nc", "a\tb\n\nc"),
        ("a" + "".join(chr(0xE0000 + ord(letter)) for letter in "run rm") + "b", "ab"),
        ("a\ufff9b\ufffac\ufffb", "abc"),
        ("a\u206ab\u206fc\u180ed", "abcd"),
        ("a\ufdd0b\uffffc\U0001fffed\U0010ffff", "abcd"),
    ],
)
def test_each_kind_of_unsafe_character_is_replaced(text: str, safe: str) -> None:
    assert printable(text) == safe
    assert str(RunError(text)) == safe


def test_a_secret_is_redacted_if_unsafe_characters_split_it_or_belong_to_it() -> None:
    SECRETS.learn("one", "first-line-of-it\r\nsecond-line-of-it")
    SECRETS.learn("two", "a-secret-in-colour")
    assert sanitize("a-secret\x1b[1m-in-\u202ecolour") == "***"
    assert sanitize("x\x00 first-line-of-it\r\nsecond-line-of-it") == "x ***"


def test_all_strings_of_a_json_value_are_sanitized() -> None:
    value: dict[str, Any] = {"a\x00": ["b\ud83d", {"c": "\u202ed"}, 1, 2.5, None, True], "e": ("f\x1b[0m",)}
    assert sanitize_json(value) == {"a": ["b?", {"c": "d"}, 1, 2.5, None, True], "e": ["f"]}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_does_not_have_becomes_null(number: float) -> None:
    assert sanitize_json({"cost_usd": [number, 0.5]}) == {"cost_usd": [None, 0.5]}


@pytest.mark.parametrize("hidden", ["\U000e0041", "\u206a", "\ufffa", "\u180e", "\uffff", "\ufdd5"])
def test_a_secret_is_redacted_if_hidden_characters_split_it(hidden: str) -> None:
    SECRETS.learn("three", "a-secret-that-is-split")
    assert sanitize(f"x a-secret{hidden}-that-is{hidden}-split") == "x ***"


@given(ANYTHING)
def test_encodable_text_can_be_encoded(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        assert not is_encodable(text)
    else:
        assert is_encodable(text)


def test_only_one_module_defines_which_characters_are_unsafe() -> None:
    a_class = re.compile(
        r"\[.*(?:\\x(?:0[0-8]|1[a-f]|7f|9f)|\\u(?:061c|20[026]|d8)|[\x00-\x08\x0e-\x1f\x7f-\x9f])", re.IGNORECASE
    )
    defining = set()
    for path in (path for folder in ("flows", "blocks") for path in (ROOT / folder).rglob("*.py")):
        texts = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
        if any(isinstance(text, str) and a_class.search(text) for text in texts):
            defining.add(path.relative_to(ROOT).as_posix())
    assert defining == {"flows/text_safety.py"}
