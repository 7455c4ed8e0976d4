"""Turns untrusted text into Markdown that shows the text as it is, and only as text.

The agent's words, a path or a branch name must not break the document, and must not add HTML, an image or a link to
it: people read the report, and may do what it says. The syntax is that of https://spec.commonmark.org and of GitHub's
tables (https://github.github.com/gfm), which both of Prefect's UIs render.
"""

import re
from collections.abc import Sequence
from typing import Final

from flows.text_safety import one_line, printable

_JOINER: Final = "\u2060"
"""WORD JOINER: an invisible character, put between two characters that together would be Markdown syntax."""

_LINK_OR_TAG: Final = re.compile(
    r"<(?=[A-Za-z/!?])|\](?=[(:\[])|(?<=[A-Za-z]):(?=//)|(?<=\bwww)\.|(?<=mailto):|@(?=\w)", re.IGNORECASE
)
"""Matches the beginning of a tag, an autolink or a link's address: CommonMark 6.3 to 6.6, GFM 6.9."""

_PIPE: Final = re.compile(r"(?<!\\)\|")


def code(value: str) -> str:
    """Return the value as one line of inline code; empty if the value is empty. A backtick becomes an apostrophe."""
    line = one_line(value).replace("`", "'")
    return f"`{line}`" if line else ""


def prose(value: str) -> str:
    """Return the value as plain text for a line or a table cell, with every Markdown character escaped."""
    return re.sub(r"([\\`*_{}\[\]()#+!|<>~])", r"\\\1", _disarmed(one_line(value)))


def quoted(value: str) -> str:
    """Return untrusted Markdown as a block quotation, from which its headings, fences and lists cannot escape."""
    return "\n".join(f"> {line}".rstrip() for line in _disarmed(printable(value)).strip().split("\n"))


def _disarmed(value: str) -> str:
    return _LINK_OR_TAG.sub(lambda match: f"{match[0]}{_JOINER}", value)


def fenced(value: str, language: str = "") -> str:
    """Return the value as a code block, with a fence longer than any fence in it."""
    text = printable(value).rstrip("\n")
    longest = max((len(fence) for fence in re.findall("`{3,}", text)), default=3)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def link(words: str, url: str) -> str:
    """Return a link. The `url` must be trusted; `words` may be any text."""
    return f"[{prose(words)}](<{url}>)"


def link_to(url: str) -> str:
    """Return a link whose words are the trusted address itself, so that a person can copy the address."""
    return f"<{url}>"  # Prefect's UI would show the backticks of code in the words of a link


def table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    """Return a table. The cells must be Markdown already."""
    lines = [header, ["---"] * len(header), *([_PIPE.sub(r"\|", cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def cut(value: str, limit: int, rest: str) -> tuple[str, str]:
    """Return the beginning of a long text, if possible in whole lines, and a note that says how to read the rest.

    Args:
        value: The text. A text of at most `limit` characters is returned whole, with an empty note.
        limit: The maximum number of characters to return.
        rest: The end of the note: where or how to read the rest, in a few words or as a command.
    """
    if len(value) <= limit:
        return value, ""
    beginning = value[: value.rfind("\n", 0, limit) + 1 or limit]
    return beginning, f"{len(value) - len(beginning):,} more characters: {rest}"
