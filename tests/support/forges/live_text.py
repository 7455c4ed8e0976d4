"""Finds what a forge could act on in a text, as it was written and as Markdown shows it.

The patterns follow the documentation of the forges. They are wider where it is vague.
"""

import re
from collections.abc import Iterator
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

_TEXTS: Final = {
    "mention": r"[@\uff20][\w{<\[-]",
    "reference": r"#\d|\bG[HL]-\d|\*iteration:|(?<![\w&])[!$&]\d|(?<!\w)~[\w\"]|%\"|\w[!$]\d",
    "address": r"\w://|\bwww\.\w|\bmailto:|\bxmpp:",
    "closing keyword": r"(?i)\b(clos(e[sd]?|ing)|fix(e[sd]|ing)?|resolv(e[sd]?|ing)|reopen(s|ed)?):?\s+"
    r"(issues?\s+)?\S*[\d]",
    "directive": r"(?i)\[(skip|no)[ -]\w+\]|\[\w+[ -]skip\]|\*\*\*NO_CI\*\*\*|skip-checks|\+semver|BREAKING[ -]CHANGE",
    "table of contents": r"\[\[_TOC_",
    "entity": r"&(#\d+|#x[0-9a-f]+|\w+);",
}
_LINES: Final = {
    "command": r"(?m)^[\s>*+-]*/[a-zA-Z]",
    "slash at the start of a line": r"(?m)^\s*/",
    "trailer": r"(?m)^\s*(?!(?:feat|fix|docs|chore):)[A-Za-z][A-Za-z0-9-]*[ \t]*:(\s|$)",
    "container": r"(?m)^[\s>*+-]*(:::|::include)",
    "tag": r"<[a-zA-Z/!?]",
    "image": r"!\[",
    "link": r"\]\(|\]\[|\]:",
    "language of a block": r"(?m)^[\s>]*(```+|~~~+)[ \t]*[\w{]",
    "invisible character": "[\u00ad\u200b-\u200f\u202a-\u202e\u2061-\u2064\u2066-\u2069\ufeff\U000e0001-\U000e007f]",
}
_LIVE_TOKENS: Final = {"link_open", "image", "html_inline", "html_block"}


def live_in(text: str) -> list[str]:
    """Return what is live in an untrusted text, as written and as shown."""
    return [*live_as_written(text), *live_as_shown(text)]


def live_as_written(text: str) -> list[str]:
    """Return what is live in the text of a commit message or of a title."""
    lines = re.sub("\r\n?|[\x0b\x0c\x85\u2028\u2029]", "\n", text)
    return [f"{name}: {match[0]!r}" for name, match in _matches({**_TEXTS, **_LINES}, lines)]


def live_as_shown(markdown: str) -> list[str]:
    """Return what is live in Markdown, except in code, where no forge looks for references."""
    tokens = list(_flat(MarkdownIt("gfm-like", {"linkify": False, "html": True}).parse(markdown)))
    live = [token.type for token in tokens if token.type in _LIVE_TOKENS]
    live += [
        f"block of {token.info}"
        for token in tokens
        if token.type == "fence" and re.match(r"\s*(?!text$)[\w{]", token.info)
    ]
    shown = "\n".join(token.content for token in tokens if token.type == "text")
    return live + [f"{name}: {match[0]!r}" for name, match in _matches(_TEXTS, shown)]


def _flat(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _flat(token.children or [])


def _matches(patterns: dict[str, str], text: str) -> Iterator[tuple[str, re.Match[str]]]:
    for name, pattern in patterns.items():
        for match in re.finditer(pattern, text):
            yield name, match
