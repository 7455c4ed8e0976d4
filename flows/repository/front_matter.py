"""Reads the YAML front matter of a Markdown file, such as a skill, that a stranger may have written."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import yaml

from flows.repository.safe_yaml import load

_MAX_CHARACTERS: Final = 32_768
_BLOCK: Final = re.compile(r"---[ \t]*\n(.*?\n)??---[ \t]*(?:\n|\Z)", re.DOTALL)
_PLAIN_VALUE: Final = re.compile(r"^([A-Za-z][\w-]*):[ \t]++([^\s\"'|>].*)$", re.MULTILINE)
"""A line with a key and a value without quotation marks."""


@dataclass(frozen=True)
class Document:
    """A Markdown file in two parts. Line breaks are newlines."""

    fields: Mapping[str, Any]
    """The front matter. Values are text, lists or mappings."""
    body: str
    """The text below the front matter."""
    is_readable: bool = True
    """Whether the front matter is a YAML mapping, or absent. If not, `fields` is empty."""


def parse(text: str) -> Document:
    """Return the two parts of a Markdown file. A file without the front matter's last line has no front matter."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    block = _BLOCK.match(text)
    if block is None:
        return Document({}, text)
    body, source = text[block.end() :], block[1] or ""
    fields = _load(source)
    if fields is None:
        # People write `argument-hint: [file] [line]` or `description: Use it: always`, which Claude Code accepts.
        fields = _load(_PLAIN_VALUE.sub(_with_quotation_marks, source))
    return Document(fields or {}, body, is_readable=fields is not None)


def _with_quotation_marks(line: re.Match[str]) -> str:
    return f"{line[1]}: {json.dumps(line[2].rstrip(), ensure_ascii=False)}"


def _load(source: str) -> dict[str, Any] | None:
    """Return a YAML mapping; None if the text is too long, or is not one."""
    if len(source) > _MAX_CHARACTERS:
        return None
    try:
        value = load(source)
    except yaml.YAMLError:
        return None
    if value is None or value == "":
        return {}
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else None


def text_of(value: object) -> str:
    """Return a value as one text: items of a list are separated by commas; other values are empty."""
    return ", ".join(items_of(value)) if isinstance(value, list) else value if isinstance(value, str) else ""


def items_of(value: object) -> list[str]:
    """Return a value as a list of texts: a list's own items that are text, or a text that is split at its commas."""
    if isinstance(value, list):
        return [item.strip() for item in cast("list[object]", value) if isinstance(item, str) and item.strip()]
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else []


def compose(fields: Mapping[str, str], body: str) -> str:
    """Return a Markdown file with these fields as its front matter. Each value is one line of text in quotes."""
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in fields.items()]
    return "".join(["---\n", *lines, "---\n", body])
