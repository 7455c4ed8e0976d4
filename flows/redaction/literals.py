"""Searches for many byte strings at once, in one pass over the content.

`ahocorasick-rs` provides the algorithm of Aho and Corasick. The search works on bytes because for `str` the package
counts characters after each pass, which takes six times as long as the pass itself.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

Span = tuple[int, int]
"""The start and the end of a part of the content."""


class Literals:
    """A search for byte strings. If several match at one position, only the longest one counts. No matches overlap."""

    def __init__(self, literals: Iterable[bytes]) -> None:
        self._literals: Final = tuple(literals)
        self._search: Final = BytesAhoCorasick(self._literals, matchkind=MatchKind.LeftmostLongest)

    def found_in(self, content: bytes) -> set[bytes]:
        """Return the byte strings that match in `content`; empty if none does."""
        matches = self._search.find_matches_as_indexes(content)
        return {self._literals[index] for index in {index for index, _, _ in matches}}


class Prefixes:
    """A fast test whether content may contain one of many byte strings, because it contains the beginning of one.

    The automaton of the beginnings is so small that a table of it stays in the processor's cache.
    """

    _LENGTH: Final = 8

    def __init__(self, literals: Iterable[bytes]) -> None:
        prefixes = {literal[: self._LENGTH] for literal in literals}
        self._search: Final = BytesAhoCorasick(prefixes, implementation=Implementation.DFA)

    def may_be_in(self, content: bytes) -> bool:
        """Return False if `content` contains none of the byte strings."""
        return bool(self._search.find_matches_as_indexes(content))


class OverlappingLiterals:
    """A search for byte strings that reports every match, even if it is inside another match or overlaps it."""

    def __init__(self, literals: Iterable[bytes], implementation: Implementation | None = None) -> None:
        """Prepare the search.

        Args:
            literals: The byte strings.
            implementation: The kind of automaton. `DFA` is the fastest for many byte strings, but uses the most memory.
        """
        self._search: Final = BytesAhoCorasick(literals, matchkind=MatchKind.Standard, implementation=implementation)

    def matches(self, content: bytes) -> list[tuple[int, int, int]]:
        """Return the matches, ordered by their ends. A match is the index of its byte string, its start and its end."""
        return self._search.find_matches_as_indexes(content, overlapping=True)


def replace(content: bytes, spans: Iterable[Span], replacement: bytes) -> bytes:
    """Return the content with each span replaced. Spans that overlap or touch are replaced together, only once."""
    merged = list(_merged(spans))
    if not merged:
        return content
    pieces = zip([0, *(end for _, end in merged)], [*(start for start, _ in merged), len(content)], strict=True)
    return replacement.join(content[start:end] for start, end in pieces)


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    current: Span | None = None
    for start, end in sorted(spans):
        if current and start <= current[1]:
            current = (current[0], max(end, current[1]))
        else:
            if current:
                yield current
            current = (start, end)
    if current:
        yield current
