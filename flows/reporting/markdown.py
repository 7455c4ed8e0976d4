"""Text from outside in our Markdown documents: shown as it is, and nothing more than text.

What an agent writes, a path or a branch must neither break the document nor bring HTML, an image or a link into it:
people read a report, and may do what it says. The syntax is that of https://spec.commonmark.org and of GitHub's
tables (https://github.github.com/gfm), which both of Prefect's UIs read.
"""

import re
from collections.abc import Sequence
from typing import Final

from flows.text_safety import one_line, printable

_JOINER: Final = "\u2060"
"""WORD JOINER: invisible, and breaks up the characters around it, which would mean something together."""

_LINK_OR_TAG: Final = re.compile(
    r"<(?=[A-Za-z/!?])|\](?=[(:\[])|(?<=[A-Za-z]):(?=//)|(?<=\bwww)\.|(?<=mailto):|@(?=\w)", re.IGNORECASE
)
"""Where a tag, an autolink or a link's address begins: CommonMark 6.3 to 6.6, GFM 6.9."""

_PIPE: Final = re.compile(r"(?<!\\)\|")


def code(value: str) -> str:
    """Return one line of code."""
    shown = one_line(value).replace("`", "'")
    return f"`{shown}`" if shown else ""


def prose(value: str) -> str:
    """Return words for a line or a table's cell: every character that has a meaning in Markdown is escaped."""
    return re.sub(r"([\\`*_{}\[\]()#+!|<>~])", r"\\\1", _disarmed(one_line(value)))


def quoted(value: str) -> str:
    """Return Markdown from outside as a quotation, which none of its headings, fences and lists can leave."""
    return "\n".join(f"> {row}".rstrip() for row in _disarmed(printable(value)).strip().split("\n"))


def _disarmed(value: str) -> str:
    return _LINK_OR_TAG.sub(lambda match: f"{match[0]}{_JOINER}", value)


def fenced(value: str, language: str = "") -> str:
    """Return a block of code, with a fence longer than any in it."""
    shown = printable(value).rstrip("\n")
    longest = max((len(fence) for fence in re.findall("`{3,}", shown)), default=3)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{shown}\n{fence}"


def link(words: str, url: str) -> str:
    """Return a link. The caller made the `url`; `words` may be anything."""
    return f"[{prose(words)}](<{url}>)"


def table(rows: Sequence[Sequence[str]], heads: Sequence[str]) -> str:
    """Return a table; its cells are Markdown already."""
    lines = [heads, ["---"] * len(heads), *([_PIPE.sub(r"\|", cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def cut(value: str, most: int, rest: str) -> tuple[str, str]:
    """Return the beginning of a long text, in whole lines if it has any, and a note on where the rest is."""
    if len(value) <= most:
        return value, ""
    shown = value[: value.rfind("\n", 0, most) + 1 or most]
    return shown, f"{len(value) - len(shown):,} more characters: {rest}"
