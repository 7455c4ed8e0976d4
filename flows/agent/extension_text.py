"""Writes a skill, a subagent or a command of a repository again, without what could start programs or grant rights.

Only the name, the description, the hint for arguments and a subagent's tools stay. Among the other fields are `hooks`
and `mcpServers`, which start programs, `model` and `permissionMode`. `allowed-tools` grants permissions: as the run may
only grant what it already permits, the field would have no effect.
"""

import re
from collections.abc import Collection, Mapping
from typing import Final

from flows.repository.front_matter import Document, compose, items_of, text_of
from flows.text_safety import one_line, printable

_MAX_VALUE: Final = 1024
_MAX_NAME: Final = 40
_MAX_NAMES: Final = 10
_DESCRIPTIVE: Final = ("description", "argument-hint")
_HANDLED: Final = {"name", "tools", *_DESCRIPTIVE}
_SHELL_MARKS: Final = re.compile(r"(?<!!)!++(?=`)|(?<=```)!++")
"""The exclamation marks of `` !`command` `` and of a block that begins with ```` ```! ````.

When Claude Code loads such a text, it runs the command. Without the mark, the command stays as text.
"""

_RULE: Final = re.compile("-{3,}")
"""Claude Code takes three hyphens, wherever they are, for the end of the front matter."""


def rewritten(document: Document, name: str, tools: Collection[str] | None = None) -> tuple[str, list[str]]:
    """Return the text of an extension for the configuration folder, and what was left out of it.

    Args:
        document: The extension's file.
        name: The extension's name; empty if its file's name says it.
        tools: The tools of a subagent; None if the subagent has all tools, or if this is no subagent.
    """
    fields = {"name": name} if name else {}
    fields |= {key: _value(document.fields[key]) for key in _DESCRIPTIVE if key in document.fields}
    if tools is not None:
        fields["tools"] = ", ".join(tools)
    body = printable(document.body)
    text = _SHELL_MARKS.sub("", body)
    left_out = [_short(key) for key in document.fields if key not in _HANDLED]
    left_out = [*left_out[:_MAX_NAMES], *(["more fields"] if len(left_out) > _MAX_NAMES else [])]
    if text != body:
        left_out.append("the execution of commands in its text")
    if not document.is_readable:
        left_out.append("its front matter, which is not YAML")
    return compose({key: value for key, value in fields.items() if value}, text), left_out


def permitted_tools(fields: Mapping[str, object], offered: Collection[str]) -> tuple[list[str] | None, list[str]]:
    """Return the tools that a subagent's front matter names and that the run offers, and the other names in it.

    The first value is None if the front matter names no tools, which means all.
    """
    names = items_of(fields.get("tools", ""))
    if fields.get("tools", "") == "" or "*" in names:
        return None, []
    others = [_short(name) for name in names if name not in offered]
    return [name for name in names if name in offered], others[:_MAX_NAMES]


def _value(value: object) -> str:
    return _RULE.sub("--", one_line(text_of(value)))[:_MAX_VALUE]


def _short(name: str) -> str:
    return one_line(name)[:_MAX_NAME]
