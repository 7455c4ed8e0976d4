"""Finds the imports in a CLAUDE.md: `@path` in its text imports another file.

https://docs.claude.com/en/docs/claude-code/memory describes imports. They have no effect in code spans and code blocks.
"""

import posixpath
import re
from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from markdown_it.token import Token

_IMPORT: Final = re.compile(r"(?:^|\s)@((?:[^\s\\]|\\ )+)")
_PATH: Final = re.compile(r"[A-Za-z0-9._-]|~?/.")
"""How a path begins. Other signs follow an `@` in other uses, such as `@@`."""

_PUNCTUATION: Final = ".,;:!?)]}'\"*_"
_BLOCK_RULES: Final = ("blockquote", "code", "fence", "heading", "hr", "html_block", "lheading", "list", "reference")
_INLINE_RULES: Final = ("backticks", "escape")


class Outside(Enum):
    """Why a path does not lead to a file of the repository."""

    ABSOLUTE = "an absolute path"
    HOME = "a path in a home directory"
    ABOVE = "a path outside the repository"


def imports_in(text: str) -> tuple[str, ...]:
    """Return the paths that a Markdown text imports, as they are written, without repetitions."""
    if "@" not in text:
        return ()
    from markdown_it import MarkdownIt  # noqa: PLC0415 (most repositories have no imports)

    parser = MarkdownIt("zero", {"html": True}).enable([*_BLOCK_RULES, *_INLINE_RULES]).disable("text_join")
    inlines = (token.children or [] for token in parser.parse(text) if token.type == "inline")
    texts = ("".join(_source(child) for child in children) for children in inlines)
    paths = (match[1].replace("\\ ", " ").partition("#")[0] for text in texts for match in _IMPORT.finditer(text))
    return tuple(dict.fromkeys(path for path in paths if _PATH.match(path)))


def _source(token: "Token") -> str:
    """Return the source text of an inline token: text, an escaped character, or a mark in place of a code span."""
    return token.content if token.type == "text" else token.markup


def candidates(importer: str, path: str) -> Iterator[str | Outside]:
    """Yield the paths in the repository that an import may mean, relative to the importing file's folder.

    The second one is without the punctuation that ends a sentence. A path that leaves the repository yields why.
    """
    for name in dict.fromkeys((path, path.rstrip(_PUNCTUATION))):
        if name.startswith("/"):
            yield Outside.ABSOLUTE
        elif name.startswith("~"):
            yield Outside.HOME
        elif name:
            resolved = posixpath.normpath(posixpath.join(posixpath.dirname(importer), name))
            yield Outside.ABOVE if resolved == ".." or resolved.startswith("../") else resolved
