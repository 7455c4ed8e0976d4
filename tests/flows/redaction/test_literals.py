"""Many byte strings are found in one pass."""

import re

from hypothesis import given
from hypothesis import strategies as st

from flows.redaction.literals import Literals, OverlappingLiterals, replace

LITERALS = st.sets(st.binary(min_size=1, max_size=5).map(lambda text: bytes(97 + byte % 3 for byte in text)))
CONTENT = st.binary(max_size=40).map(lambda content: bytes(97 + byte % 4 for byte in content))


def alternation(literals: set[bytes]) -> re.Pattern[bytes]:
    longest_first = sorted(literals, key=len, reverse=True)
    return re.compile(b"|".join(map(re.escape, longest_first)) if literals else b"(?!)")


def by_marking(literals: set[bytes], content: bytes) -> bytes:
    """Replace what any of the literals covers, byte by byte."""
    covered = {
        byte
        for literal in literals
        for start in range(len(content))
        if content.startswith(literal, start)
        for byte in range(start, start + len(literal))
    }
    marks = bytes(0 if position in covered else byte for position, byte in enumerate(content))
    return re.sub(b"\0+", b"*", marks)


@given(LITERALS, CONTENT)
def test_all_bytes_that_any_literal_covers_are_replaced(literals: set[bytes], content: bytes) -> None:
    matches = OverlappingLiterals(literals).matches(content)
    assert replace(content, [(start, end) for _, start, end in matches], b"*") == by_marking(literals, content)


@given(LITERALS, CONTENT)
def test_literals_are_found_as_by_a_pattern_with_the_longest_first(literals: set[bytes], content: bytes) -> None:
    assert Literals(literals).found_in(content) == set(alternation(literals).findall(content))


def test_content_without_a_match_is_returned_itself() -> None:
    content = bytes(1000)
    assert replace(content, [], b"*") is content
    assert OverlappingLiterals([]).matches(content) == []
