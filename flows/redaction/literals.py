"""Many strings looked for at once: one pass over the content, however many there are.

The algorithm is Aho and Corasick's, from `ahocorasick-rs`. It works on bytes: for `str` the package counts characters
after each pass, which takes six times as long as the pass.
"""

from collections.abc import Collection, Iterator
from typing import Final

from ahocorasick_rs import BytesAhoCorasick, MatchKind


class Literals:
    """Byte strings to look for. Of several that begin at one place the longest matches, and matches do not overlap."""

    def __init__(self, literals: Collection[bytes]) -> None:
        self._literals: Final = tuple(literals)
        self._search: Final = BytesAhoCorasick(self._literals, matchkind=MatchKind.LeftmostLongest)

    def found_in(self, content: bytes) -> set[bytes]:
        """Return those that match in `content`."""
        return {self._literals[index] for index in {index for index, _, _ in self._matches(content)}}

    def replace(self, content: bytes, replacement: bytes) -> bytes:
        """Replace each match; return `content` itself if nothing matches."""
        matches = self._matches(content)
        return replacement.join(_between(content, matches)) if matches else content

    def _matches(self, content: bytes) -> list[tuple[int, int, int]]:
        return self._search.find_matches_as_indexes(content)


def _between(content: bytes, matches: list[tuple[int, int, int]]) -> Iterator[bytes]:
    position = 0
    for _, start, end in matches:
        yield content[position:start]
        position = end
    yield content[position:]
