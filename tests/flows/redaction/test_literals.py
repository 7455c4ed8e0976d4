"""Many byte strings are found in one pass."""

import re

from hypothesis import given
from hypothesis import strategies as st

from flows.redaction.literals import Literals

LITERALS = st.sets(st.binary(min_size=1, max_size=5).map(lambda text: bytes(97 + byte % 3 for byte in text)))
CONTENT = st.binary(max_size=40).map(lambda content: bytes(97 + byte % 4 for byte in content))


def alternation(literals: set[bytes]) -> re.Pattern[bytes]:
    longest_first = sorted(literals, key=len, reverse=True)
    return re.compile(b"|".join(map(re.escape, longest_first)) if literals else b"(?!)")


@given(LITERALS, CONTENT)
def test_literals_are_replaced_as_by_a_pattern_with_the_longest_first(literals: set[bytes], content: bytes) -> None:
    assert Literals(literals).replace(content, b"*") == alternation(literals).sub(b"*", content)


@given(LITERALS, CONTENT)
def test_literals_are_found_as_by_a_pattern_with_the_longest_first(literals: set[bytes], content: bytes) -> None:
    assert Literals(literals).found_in(content) == set(alternation(literals).findall(content))


def test_content_without_a_match_is_returned_itself() -> None:
    content = bytes(1000)
    assert Literals([b"a", b"b"]).replace(content, b"*") is content
    assert Literals([]).replace(content, b"*") is content
