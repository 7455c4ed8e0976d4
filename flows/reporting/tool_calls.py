"""What the agent does, in the words of the log: a tool that it uses, and what came of that. Pure.

Tools and their results are those of Claude Code (https://docs.claude.com/en/docs/claude-code/settings, "Tools"); of one
that is not known here its name is said. All of it is text of strangers: it becomes a line without control characters.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

_SHOWN: Final = 160
_OUTCOME_SHOWN: Final = 80
_LOOKED_AT: Final = 4
"""How many times what is shown of a text is looked at: it may be megabytes, and begin with white space."""

_NOT_SHOWN: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
_EXIT: Final = re.compile(r"Exit code (\d+)\n?")
_COUNTS: Final = re.compile(r"\b\d{1,7} (?:failed|passed|errors?|skipped)\b")
_UNITTEST: Final = re.compile(r"^(?:OK|FAILED)(?: \([a-z0-9 ,=]{1,60}\))?$", re.MULTILINE)
_TAIL: Final = 4000
"""Characters of an output's end in which a test runner's last word is looked for."""

_USES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "Agent": ("asks a subagent:", ("description",)),
    "Bash": ("runs", ("command",)),
    "Edit": ("edits", ("file_path",)),
    "Glob": ("looks for", ("pattern",)),
    "Grep": ("looks for", ("pattern",)),
    "MultiEdit": ("edits", ("file_path",)),
    "NotebookEdit": ("edits", ("notebook_path", "file_path")),
    "Read": ("reads", ("file_path",)),
    "Task": ("asks a subagent:", ("description",)),
    "WebFetch": ("looks up", ("url",)),
    "WebSearch": ("looks up", ("query",)),
    "Write": ("writes", ("file_path",)),
}
"""What each tool does, and which of its fields says to what."""

Fields = Mapping[str, Any]


def one_line(text: str) -> str:
    """Take out what could forge a line of the log, or turn it around: breaks, control and direction characters."""
    return _NOT_SHOWN.sub(" ", text).strip()


def short(value: object, most: int = _SHOWN) -> str:
    """Return a text in one line; a long one is cut, and its length said."""
    whole = _plain(value)
    text = one_line(whole[: most * _LOOKED_AT])
    is_all = len(text) <= most and len(whole) <= most * _LOOKED_AT
    return text if is_all else f"{text[:most]}… ({len(whole):,} characters)"


def _plain(value: object) -> str:
    """Return text, or a number; what else may stand where text is expected can be nested deeper than can be shown."""
    return str(value or "") if isinstance(value, str | float | int | None) else "…"


def use(name: str, given: Fields) -> str:
    """Say what a tool is used for."""
    if name == "TodoWrite":
        return f"plans: {_plan(given.get('todos'))}"
    words, fields = _USES.get(name, (f"uses {short(name)}", ()))
    return f"{words} {short(next(filter(None, map(given.get, fields)), ''))}".rstrip()


def _plan(todos: object) -> str:
    items = [item for item in todos if isinstance(item, dict)] if isinstance(todos, list) else []
    done = sum(item.get("status") == "completed" for item in items)
    now = next((item.get("activeForm") for item in items if item.get("status") == "in_progress"), "")
    return f"{done} of {len(items)} done{f', now {short(now, _OUTCOME_SHOWN)}' if now else ''}"


def outcome(name: str, given: Fields, block: Fields, result: object) -> str:
    """Say what came of a tool's use; nothing where there is nothing to add.

    Args:
        name: The tool's.
        given: Its input.
        block: The `tool_result` block.
        result: The event's `tool_use_result`, whose form is the tool's own.
    """
    said = _text(block.get("content"))
    if name == "Bash":
        return _command(said, failed=bool(block.get("is_error")))
    if block.get("is_error"):
        return f" → failed: {short(said)}"
    if name in {"Edit", "MultiEdit", "Write", "NotebookEdit"}:
        return f" ({_lines(given, result if isinstance(result, dict) else {})})"
    return ""


def _command(said: str, *, failed: bool) -> str:
    status = _EXIT.match(said)
    if failed and not status:
        return f" → failed: {short(said)}"
    rest = said[status.end() :] if status else said
    summary = _tests(rest) or (_last_line(rest) if status else "")
    return f" → exit {status[1] if status else 0}{f', {summary}' if summary else ''}"


def _tests(output: str) -> str:
    """Return a test runner's last word, as pytest, jest, cargo and unittest have it."""
    tail = output[-_TAIL:]
    for row in reversed(tail.splitlines()):
        if counts := _COUNTS.findall(row):
            return ", ".join(counts)
    return words[-1] if (words := _UNITTEST.findall(tail)) else ""


def _last_line(output: str) -> str:
    rows = output[-_TAIL:].strip().splitlines()
    return short(rows[-1], _OUTCOME_SHOWN) if rows else ""


def _lines(given: Fields, result: Fields) -> str:
    """Count the lines that changed, by the patch that Claude Code sends along."""
    patch = result.get("structuredPatch")
    hunks = [hunk.get("lines") for hunk in patch if isinstance(hunk, dict)] if isinstance(patch, list) else []
    rows = [row for lines in hunks if isinstance(lines, list) for row in lines if isinstance(row, str)]
    if rows:
        return f"+{_begin(rows, '+')} −{_begin(rows, '-')}"  # noqa: RUF001 (a minus sign)
    written = str(given.get("content") or given.get("new_string") or given.get("new_source") or "")
    count = len(written.splitlines())
    return f"{count} line{'s' if count != 1 else ''}"


def _begin(rows: Iterable[str], sign: str) -> int:
    return sum(row.startswith(sign) for row in rows)


def _text(content: object) -> str:
    if isinstance(content, list):
        return " ".join(_plain(part.get("text")) for part in content if isinstance(part, dict))
    return _plain(content)
