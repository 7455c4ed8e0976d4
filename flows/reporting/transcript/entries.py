"""The agent's events as the entries of a page: its words, and each tool call with its result. Pure."""

import difflib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from flows.agent.event_types import ApiRetry, Event, Result, SessionStarted, Text, Thinking, ToolResult, ToolUse
from flows.agent.events import json_text
from flows.redaction import redact
from flows.reporting.open_calls import OpenCalls
from flows.text_safety import visible

_TITLES: Final = ("command", "file_path", "notebook_path", "path", "pattern", "url", "query", "description", "skill")
"""Fields of a tool's input; the first that is set is the title of the call."""

_TITLE_MAX: Final = 200
_DIFF_MAX_LINES: Final = 2_000
"""The time to compare grows with the square of the lines."""


@dataclass
class Section:
    """A text of an entry; `cut` is the number of characters that are left out at its end."""

    label: str
    text: str
    is_diff: bool = False
    cut: int = 0

    @property
    def lines(self) -> list[str]:
        """Return the text's lines."""
        return self.text.split("\n")


@dataclass
class Entry:
    """A step of the agent."""

    kind: str
    """begins, told, says, thinks, calls, waits or ends: a class of the page's style sheet."""
    title: str = ""
    name: str = ""
    """The tool's."""
    at: str = ""
    """Its event's timestamp."""
    sections: list[Section] = field(default_factory=list)
    is_nested: bool = False
    """Of a subagent."""
    has_failed: bool = False


def entries(events: Iterable[Event]) -> Iterator[Entry]:
    """Yield the entries: a tool call once its result is there, and what comes between the two after it."""
    waiting: deque[tuple[Entry, str | None]] = deque()
    """Each with the id of its tool call, if it is one."""
    calls = OpenCalls[Entry]()
    for event in events:
        if isinstance(event, ToolResult) and (call := calls.close(event)):
            _add_result(call, event)
        elif entry := _entry(event):
            waiting.append((entry, event.id if isinstance(event, ToolUse) else None))
            if isinstance(event, ToolUse):
                calls.open(event, entry)
        while waiting and waiting[0][1] not in calls:
            yield waiting.popleft()[0]
    yield from (entry for entry, _ in waiting)


def _entry(event: Event) -> Entry | None:
    entry = _program_entry(event) if event.role == "program" else _message_entry(event)
    if entry:
        entry.at = event.timestamp
        entry.is_nested = event.is_nested
    return entry


def _program_entry(event: Event) -> Entry | None:
    match event:
        case SessionStarted():
            return Entry("begins", clean(event.description))
        case ApiRetry():
            return Entry("waits", clean(f"{event.description}, attempt {event.attempt}"), has_failed=True)
        case Result():
            return _end(event)
    return None


def _message_entry(event: Event) -> Entry | None:
    match event:
        case Text():
            return Entry("says" if event.role == "assistant" else "told", sections=_sections(text=event.text))
        case Thinking():
            return Entry("thinks", sections=_sections(text=event.text))
        case ToolUse():
            return _call(event)
        case ToolResult():
            entry = Entry("told", "a result without its call")
            _add_result(entry, event)
            return entry
    return None


def _end(result: Result) -> Entry:
    title = clean(f"{result.subtype} after {result.turns} turns")
    sections = _sections(
        result=result.text, errors=list(result.errors), denied=[dict(denial) for denial in result.permission_denials]
    )
    return Entry("ends", title, sections=sections, has_failed=result.is_error)


def _call(use: ToolUse) -> Entry:
    key = next((key for key in _TITLES if use.input.get(key)), "")
    words = " ".join(clean(json_text(use.input.get(key, ""))).split())
    title = words if len(words) <= _TITLE_MAX else f"{words[:_TITLE_MAX]}…"
    rest = {clean(name): value for name, value in use.input.items() if name != key or value != words}
    if {"old_string", "new_string"} <= rest.keys():
        old, new = json_text(rest.pop("old_string")), json_text(rest.pop("new_string"))
        return Entry("calls", title, clean(use.name), sections=[*_sections(**rest), _diff(old, new)])
    if "description" in rest:
        rest = {"text": rest.pop("description"), **rest}  # what the agent says it is for: no label is needed
    return Entry("calls", title, clean(use.name), sections=_sections(**rest))


def _diff(old: str, new: str) -> Section:
    before, after = clean(old).split("\n"), clean(new).split("\n")
    if len(before) + len(after) > _DIFF_MAX_LINES:
        lines = [*(f"-{line}" for line in before), *(f"+{line}" for line in after)]
    else:
        lines = list(difflib.unified_diff(before, after, n=3, lineterm=""))[3:]
    return Section("change", "\n".join(lines), is_diff=True)


def _add_result(entry: Entry, result: ToolResult) -> None:
    entry.has_failed = result.is_error
    entry.sections += _sections(**{"failed" if result.is_error else "result": result.text})


def _sections(**values: object) -> list[Section]:
    """Return a section for each value that is not empty, with its name, which is clean, as the label."""
    return [Section(label, clean(json_text(value))) for label, value in values.items() if value not in (None, "", [])]


def clean(text: str) -> str:
    """Return the text visible, and redacted after that: an escape sequence may have parted a secret."""
    return redact(visible(text))
