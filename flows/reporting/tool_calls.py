"""Words for the log: what a tool of Claude Code does, and what came of it. Pure.

The tools are those of https://docs.claude.com/en/docs/claude-code/settings ("Tools available to Claude"); any other
tool is called by its name. Inputs and results are text from outside: each becomes one safe line.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from flows.agent.event_types import ToolResult, ToolUse
from flows.redaction import redact
from flows.text_safety import one_line

_SHOWN: Final = 160
"""Characters of a text in a line."""

_OUTCOME_SHOWN: Final = 80
_READ_AHEAD: Final = 4
"""A text can be megabytes long. This many times the characters shown are read, as some of them may be white space."""

_EXIT: Final = re.compile(r"Exit code (\d+)\n?")
_COUNTS: Final = re.compile(r"\b\d{1,7} (?:failed|passed|errors?|skipped)\b")
_UNITTEST: Final = re.compile(r"^(?:OK|FAILED)(?: \([a-z0-9 ,=]{1,60}\))?$", re.MULTILINE)
_TAIL: Final = 4000
"""Characters at the end of an output that are searched for a test runner's summary."""

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
"""The verb for each tool, and the fields of its input of which the first that is set is the object."""


def shorten(value: object, limit: int = _SHOWN) -> str:
    """Return a text on one line; a long one is cut, with its length."""
    whole = _plain(value)
    text = one_line(whole[: limit * _READ_AHEAD])
    is_whole = len(text) <= limit and len(whole) <= limit * _READ_AHEAD
    # The log redacts each line, but would not know half of a secret.
    return text if is_whole else f"{redact(text)[:limit]}… ({len(whole):,} characters)"


def _plain(value: object) -> str:
    """Return a text or a number as text, and `…` for any other JSON, which may be nested too deeply to show."""
    return str(value or "") if isinstance(value, str | float | int | None) else "…"


def describe(call: ToolUse) -> str:
    """Return what the call does."""
    if call.name == "TodoWrite":
        return f"plans: {_plan(call.input.get('todos'))}"
    verb, fields = _USES.get(call.name, (f"uses {shorten(call.name)}", ()))
    return f"{verb} {shorten(next(filter(None, map(call.input.get, fields)), ''))}".rstrip()


def _plan(todos: object) -> str:
    items = [item for item in todos if isinstance(item, dict)] if isinstance(todos, list) else []
    done = sum(item.get("status") == "completed" for item in items)
    current = next((item.get("activeForm") for item in items if item.get("status") == "in_progress"), "")
    return f"{done} of {len(items)} done{f', now {shorten(current, _OUTCOME_SHOWN)}' if current else ''}"


def outcome(call: ToolUse, result: ToolResult) -> str:
    """Return what came of a call, to stand after its description; empty if there is nothing to add."""
    if call.name == "Bash":
        return _command_outcome(result)
    if result.is_error:
        return f" → failed: {shorten(result.text)}"
    if call.name in {"Edit", "MultiEdit", "Write", "NotebookEdit"}:
        return f" ({_lines_changed(call.input, result.detail)})"
    return ""


def _command_outcome(result: ToolResult) -> str:
    output = result.text
    status = _EXIT.match(output)
    if result.is_error and not status:
        return f" → failed: {shorten(output)}"
    rest = output[status.end() :] if status else output
    summary = _test_summary(rest) or (_last_line(rest) if status else "")
    return f" → exit {status[1] if status else 0}{f', {summary}' if summary else ''}"


def _test_summary(output: str) -> str:
    """Return a test runner's summary, in the form of pytest, jest, cargo or unittest."""
    tail = output[-_TAIL:]
    for row in reversed(tail.splitlines()):
        if counts := _COUNTS.findall(row):
            return ", ".join(counts)
    return verdicts[-1] if (verdicts := _UNITTEST.findall(tail)) else ""


def _last_line(output: str) -> str:
    rows = output[-_TAIL:].strip().splitlines()
    return shorten(rows[-1], _OUTCOME_SHOWN) if rows else ""


def _lines_changed(fields: Mapping[str, Any], detail: object) -> str:
    """Return the number of lines that changed, by the patch in the result, or the number of lines written."""
    patch = detail.get("structuredPatch") if isinstance(detail, dict) else None
    hunks = [hunk.get("lines") for hunk in patch if isinstance(hunk, dict)] if isinstance(patch, list) else []
    rows = [row for lines in hunks if isinstance(lines, list) for row in lines if isinstance(row, str)]
    if rows:
        return f"+{_count(rows, '+')} −{_count(rows, '-')}"  # noqa: RUF001 (a minus sign)
    written = _plain(fields.get("content") or fields.get("new_string") or fields.get("new_source"))
    count = len(written.splitlines())
    return f"{count} line{'s' if count != 1 else ''}"


def _count(rows: Iterable[str], sign: str) -> int:
    return sum(row.startswith(sign) for row in rows)
