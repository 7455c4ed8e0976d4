"""Text of strangers in a Markdown document of ours: shown as it is said, and nothing more than text.

What an agent writes, a path or a branch must neither break the document's form nor bring HTML, an image or a link into
it: a report is read by people who may do what it says. The form is that of https://spec.commonmark.org and of GitHub's
tables (https://github.github.com/gfm), which both of Prefect's UIs read.
"""

import re
from collections.abc import Sequence
from typing import Final

_JOINER: Final = "\u2060"
"""A character that is not seen, and keeps the ones around it from meaning something together."""

_MEANT: Final = re.compile(
    r"<(?=[A-Za-z/!?])|\](?=[(:\[])|(?<=[A-Za-z]):(?=//)|(?<=\bwww)\.|(?<=mailto):|@(?=\w)", re.IGNORECASE
)
"""What would begin a tag or an autolink, or join a text to an address: CommonMark 6.3 to 6.6, GFM 6.9."""

_PIPE: Final = re.compile(r"(?<!\\)\|")
_BREAKS: Final = re.compile(r"[\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0e-\x1b\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def text(value: str) -> str:
    """Return what can be written as UTF-8, without what turns a line around or forges one."""
    plain = _CONTROLS.sub("", _BREAKS.sub("\n", value.replace("\r\n", "\n")))
    # Paths are bytes and need not be UTF-8, and JSON can hold half a character.
    return plain.encode("utf-8", "replace").decode()


def line(value: str) -> str:
    """Return the text in one line."""
    return " ".join(text(value).split())


def code(value: str) -> str:
    """Return one line of code."""
    shown = line(value).replace("`", "'")
    return f"`{shown}`" if shown else ""


def prose(value: str) -> str:
    """Return words in a line of ours or in a cell: every character that Markdown knows is escaped."""
    return re.sub(r"([\\`*_{}\[\]()#+!|<>~])", r"\\\1", line(_disarmed(value)))


def quoted(value: str) -> str:
    """Return Markdown of a stranger as a quotation, out of which no heading, fence or list of it can reach."""
    return "\n".join(f"> {row}".rstrip() for row in _disarmed(text(value)).strip().split("\n"))


def _disarmed(value: str) -> str:
    return _MEANT.sub(lambda found: f"{found[0]}{_JOINER}", value)


def fenced(value: str, language: str = "") -> str:
    """Return a block of code, whatever fences it holds itself."""
    shown = text(value).rstrip("\n")
    longest = max((len(fence) for fence in re.findall("`{3,}", shown)), default=3)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{shown}\n{fence}"


def link(words: str, url: str) -> str:
    """Return a link of ours: `url` is one that we made, `words` may be anything."""
    return f"[{prose(words)}](<{url}>)"


def table(rows: Sequence[Sequence[str]], heads: Sequence[str]) -> str:
    """Return a table of cells that are Markdown already."""
    lines = [heads, ["---"] * len(heads), *([_PIPE.sub(r"\|", cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def cut(value: str, most: int, rest: str) -> tuple[str, str]:
    """Return the beginning of a long text, in whole lines where it has some, and a note that says where the rest is."""
    if len(value) <= most:
        return value, ""
    shown = value[: value.rfind("\n", 0, most) + 1 or most]
    return shown, f"{len(value) - len(shown):,} more characters: {rest}"
