"""Marks this program's part of a pull request's body, so that a later update replaces it and nothing else."""

import re
from typing import Final

from flows.forges.body import units

_NAME: Final = "claude-code-headless"
_FIELDS: Final = r"[ a-z0-9=-]{0,200}?"
_BEGIN: Final = re.compile(rf"<!-- {_NAME}:begin -->|\[//\]: # \({_NAME}:begin\)")
_END: Final = re.compile(rf"<!-- {_NAME}:end{_FIELDS} -->|\[//\]: # \({_NAME}:end{_FIELDS}\)")
_ANY_MARK: Final = re.compile(f"{_BEGIN.pattern}|{_END.pattern}")


def add_marks(body: str, run_id: str, commit: str, *, html_comments: bool) -> str:
    """Return the section with its marks, which a reader does not see.

    Args:
        body: The text of the section.
        run_id: The id of the run, by which the run finds its pull request again.
        commit: The commit that the text describes.
        html_comments: Whether the marks are HTML comments. Otherwise they are definitions of links that are not used.
    """
    body = _without_marks(body)
    begin, end = f"{_NAME}:begin", f"{_NAME}:end run={run_id} head={commit}"
    if html_comments:
        return f"<!-- {begin} -->\n{body}\n<!-- {end} -->"
    return f"[//]: # ({begin})\n\n{body}\n\n[//]: # ({end})"


def is_of_run(body: str, run_id: str) -> bool:
    """Whether the body has a section of this run."""
    return any(f" run={run_id} " in mark for mark in _END.findall(body))


def with_template(section: str, template: str, limit: int) -> str:
    """Return a new body: the section, and below it the repository's template if there is room for the whole of it."""
    below = _without_marks(template.replace("\r\n", "\n")).strip()
    body = f"{section}\n\n{below}" if below else section
    return body if units(body) <= limit else section


def _without_marks(text: str) -> str:
    """Return the text without marks, also without those that only appear when another one is removed."""
    while (shorter := _ANY_MARK.sub("", text)) != text:
        text = shorter
    return text


def _section_in(body: str) -> tuple[re.Match[str], re.Match[str]] | None:
    """Return the marks of the first section. A mark whose partner a person has removed begins none."""
    begin = None
    for mark in _ANY_MARK.finditer(body):
        if _BEGIN.fullmatch(mark[0]):
            begin = mark
        elif begin:
            return begin, mark
    return None


def with_section(body: str, section: str, last_section: str, limit: int) -> str:
    """Return a body with the new section in place of the old one. The rest is not changed.

    A body without a section gets one at its end. A body is not changed if a person removed the section, or if the new
    body would be too long for the forge.

    Args:
        body: The present body.
        section: The new section, with its marks.
        last_section: The section that this run wrote last; empty if it wrote none.
        limit: The maximum length of a body.
    """
    body = body.replace("\r\n", "\n")
    if marks := _section_in(body):
        begin, end = marks
        new = f"{body[: begin.start()]}{section}{body[end.end() :]}"
    elif last_section and last_section in body:  # the forge dropped the marks
        new = body.replace(last_section, section, 1)
    elif last_section:
        new = body
    else:
        new = f"{body.rstrip()}\n\n{section}".lstrip()
    return new if units(new) <= limit else body
