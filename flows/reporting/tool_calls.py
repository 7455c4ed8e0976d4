"""Describes the tool calls of Claude Code and their results in a few words for the log.

The tools are those of https://docs.claude.com/en/docs/claude-code/settings ("Tools available to Claude"); any other
tool appears under its own name. Inputs and results are untrusted text: each becomes one safe line.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from flows.agent.event_types import ToolResult, ToolUse
from flows.agent.final_answer import ANSWER_TOOL
from flows.redaction import redact
from flows.text_safety import one_line

_TEXT_MAX: Final = 160
"""The maximum number of characters of one text in a log line."""

_RESULT_MAX: Final = 80
_READ_AHEAD: Final = 4
"""At most this many times `limit` characters of a text are read. A text can be megabytes long and mostly
white space."""

_EXIT_CODE: Final = re.compile(r"Exit code (\d+)\n?")
_COUNTS: Final = re.compile(r"\b\d{1,7} (?:failed|passed|errors?|skipped)\b")
_UNITTEST: Final = re.compile(r"^(?:OK|FAILED)(?: \([a-z0-9 ,=]{1,60}\))?$", re.MULTILINE)
_TAIL: Final = 4000
"""How many characters at the end of an output are searched for a test runner's summary."""

_VERBS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
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
"""The verb for each tool, and the input fields that can be the verb's object. The first field that is set is used."""


def shorten(value: object, limit: int = _TEXT_MAX) -> str:
    """Return the value on one line. A text longer than `limit` is cut, and a note with its whole length is added."""
    whole = _plain(value)
    line = one_line(whole[: limit * _READ_AHEAD])
    is_whole = len(line) <= limit and len(whole) <= limit * _READ_AHEAD
    # Redact before the cut: the log redacts each line, but would not recognize half of a secret.
    return line if is_whole else f"{redact(line)[:limit]}… ({len(whole):,} characters)"


def _plain(value: object) -> str:
    """Return text or a number as text, and `…` for any other JSON value, which may be nested too deeply to format."""
    return str(value or "") if isinstance(value, str | float | int | None) else "…"


def describe_call(call: ToolUse) -> str:
    """Return a description of the call: a verb and its object, such as `reads README.md`."""
    if call.name == "TodoWrite":
        return f"plans: {_plan(call.input.get('todos'))}"
    if call.name == ANSWER_TOOL:
        return f"ends its work: {shorten(call.input.get('status'))}: {shorten(call.input.get('title'))}"
    verb, fields = _VERBS.get(call.name, (f"uses {shorten(call.name)}", ()))
    return f"{verb} {shorten(next(filter(None, map(call.input.get, fields)), ''))}".rstrip()


def _plan(todos: object) -> str:
    items = [item for item in todos if isinstance(item, dict)] if isinstance(todos, list) else []
    completed = sum(item.get("status") == "completed" for item in items)
    current = next((item.get("activeForm") for item in items if item.get("status") == "in_progress"), "")
    return f"{completed} of {len(items)} done{f', now {shorten(current, _RESULT_MAX)}' if current else ''}"


def describe_result(call: ToolUse, result: ToolResult) -> str:
    """Return the call's result, as text to append to the call's description; empty if there is nothing to append."""
    if call.name == "Bash":
        return _command_result(result)
    if result.is_error:
        return f" → failed: {shorten(result.text)}"
    if call.name in {"Edit", "MultiEdit", "Write", "NotebookEdit"}:
        return f" ({_lines_changed(call.input, result.detail)})"
    return ""


def _command_result(result: ToolResult) -> str:
    output = result.text
    status = _EXIT_CODE.match(output)
    if result.is_error and not status:
        return f" → failed: {shorten(output)}"
    rest = output[status.end() :] if status else output
    lines = rest[-_TAIL:].strip().splitlines() if status else []
    summary = _test_summary(rest) or (shorten(lines[-1], _RESULT_MAX) if lines else "")
    return f" → exit {status[1] if status else 0}{f', {summary}' if summary else ''}"


def _test_summary(output: str) -> str:
    """Return the summary that pytest, jest, cargo or unittest printed; empty if there is none."""
    tail = output[-_TAIL:]
    for line in reversed(tail.splitlines()):
        if counts := _COUNTS.findall(line):
            return ", ".join(counts)
    return verdicts[-1] if (verdicts := _UNITTEST.findall(tail)) else ""


def _lines_changed(fields: Mapping[str, Any], detail: object) -> str:
    """Return how many lines were added and removed, if the result contains a patch.

    Otherwise return how many lines were written.
    """
    patch = detail.get("structuredPatch") if isinstance(detail, dict) else None
    hunks = [hunk.get("lines") for hunk in patch if isinstance(hunk, dict)] if isinstance(patch, list) else []
    lines = [line for hunk in hunks if isinstance(hunk, list) for line in hunk if isinstance(line, str)]
    if lines:
        return f"+{_count(lines, '+')} −{_count(lines, '-')}"  # noqa: RUF001 (a minus sign)
    written = _plain(fields.get("content") or fields.get("new_string") or fields.get("new_source"))
    count = len(written.splitlines())
    return f"{count} line{'s' if count != 1 else ''}"


def _count(lines: Iterable[str], sign: str) -> int:
    return sum(line.startswith(sign) for line in lines)
