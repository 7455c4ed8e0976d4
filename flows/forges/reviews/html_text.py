"""Turns the HTML of Azure DevOps' work items into text, and text into HTML."""

import re
from html import escape
from html.parser import HTMLParser
from typing import Final

from flows.forges.disarm import JOINER

_BLOCKS: Final = re.compile(r"address|article|blockquote|div|h[1-6]|hr|li|ol|p|pre|section|table|tr|ul")
_ADDRESS: Final = re.compile(rf"https?://[^\s<>{JOINER}]*[\w/]")
_HIDDEN: Final = frozenset({"script", "style", "template"})


def text_of_html(html: str) -> str:
    """Return the text of all elements. Comments, scripts and addresses of links are left out."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = (line.strip() for line in "".join(reader.parts).splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def html_of_text(text: str) -> str:
    """Return HTML that shows the text as it is. Addresses become links, except in text that is disarmed."""
    return _ADDRESS.sub(r'<a href="\g<0>">\g<0></a>', escape(text)).replace("\n", "<br>")


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a line at a block; leave out a script or a style."""
        del attrs
        self._hidden += tag in _HIDDEN
        self._end_line(tag)
        if tag in {"br", "li"}:
            self.parts.append("\n" if tag == "br" else "- ")

    def handle_endtag(self, tag: str) -> None:
        """End a line at the end of a block."""
        self._hidden = max(0, self._hidden - (tag in _HIDDEN))
        self._end_line(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Treat an empty element as a beginning alone."""
        self.handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        """Add a text."""
        if not self._hidden:
            self.parts.append(data)

    def _end_line(self, tag: str) -> None:
        if _BLOCKS.fullmatch(tag) and self.parts and not self.parts[-1].endswith("\n"):
            self.parts.append("\n")
