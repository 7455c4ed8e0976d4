"""Searches for many byte strings at once, in one pass over the content.

`ahocorasick-rs` provides the algorithm of Aho and Corasick. The search works on bytes because for `str` the package
counts characters after each pass, which takes six times as long as the pass itself.
"""

from collections.abc import Collection
from typing import Final

from ahocorasick_rs import BytesAhoCorasick, MatchKind


class Literals:
    """Byte strings to search for. Of several that match at one position the longest wins; matches do not overlap."""

    def __init__(self, literals: Collection[bytes]) -> None:
        self._literals: Final = tuple(literals)
        self._search: Final = BytesAhoCorasick(self._literals, matchkind=MatchKind.LeftmostLongest)

    def found_in(self, content: bytes) -> set[bytes]:
        """Return the byte strings that match in `content`."""
        return {self._literals[index] for index in {index for index, _, _ in self._matches(content)}}

    def replace(self, content: bytes, replacement: bytes) -> bytes:
        """Replace each match; return `content` itself if nothing matches."""
        matches = self._matches(content)
        if not matches:
            return content
        starts = [start for _, start, _ in matches]
        ends = [end for _, _, end in matches]
        pieces = zip([0, *ends], [*starts, len(content)], strict=True)
        return replacement.join(content[start:end] for start, end in pieces)

    def _matches(self, content: bytes) -> list[tuple[int, int, int]]:
        return self._search.find_matches_as_indexes(content)
