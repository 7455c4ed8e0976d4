"""Turns the agent's events into the entries of an HTML page: the agent's words, and each tool call with its result."""

import difflib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Self

from flows.agent.event_types import ApiRetry, Event, Result, SessionStarted, Text, Thinking, ToolResult, ToolUse
from flows.agent.events import json_text
from flows.redaction import redact
from flows.reporting.open_calls import OpenCalls
from flows.text_safety import visible

_TITLES: Final = ("command", "file_path", "notebook_path", "path", "pattern", "url", "query", "description", "skill")
"""Fields of a tool's input. The first of them that is set becomes the title of the call."""

_TITLE_MAX: Final = 200
_DIFF_MAX_LINES: Final = 2_000
"""The maximum number of lines of texts to compare. The time to compare grows with the square of the number of lines."""

_LONG_LINES: Final = 16
_LONG_CHARACTERS: Final = 1600


@dataclass
class Section:
    """A text with a label within an entry. `cut` is the number of characters that were cut off at the text's end."""

    label: str
    text: str
    is_diff: bool = False
    cut: int = 0

    @property
    def lines(self) -> list[str]:
        """The lines of the text."""
        return self.text.split("\n")

    @property
    def is_long(self) -> bool:
        """Whether the page shows only the beginning of the text until a reader expands it."""
        return len(self.text) > _LONG_CHARACTERS or self.text.count("\n") >= _LONG_LINES


@dataclass
class Entry:
    """One step of the agent, as the page shows it."""

    kind: str
    """One of begins, input, says, thinks, calls, waits and ends. These are also classes in the page's style sheet."""
    title: str = ""
    name: str = ""
    """The name of the tool, if the entry is a tool call."""
    timestamp: str = ""
    """The timestamp of the event; may be empty."""
    sections: list[Section] = field(default_factory=list)
    is_nested: bool = False
    """Whether a subagent took the step."""
    has_failed: bool = False

    def shortened(self, limit: int) -> Self:
        """Return the entry with each section cut to at most `limit` characters."""
        sections = [replace(s, text=s.text[:limit], cut=max(0, len(s.text) - limit)) for s in self.sections]
        return replace(self, sections=sections)


def entries(events: Iterable[Event]) -> Iterator[Entry]:
    """Yield the entries in the order of the events.

    A tool call is held back until its result has arrived, and so is every entry that follows the call. Calls that never
    get a result are yielded after the last event.
    """
    waiting: deque[tuple[Entry, str | None]] = deque()
    """The entries that are held back, each with the id of its tool call or None."""
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
    """Return the entry of an event; None if the page does not show such events."""
    entry: Entry | None = None
    match event:
        case SessionStarted():
            entry = Entry("begins", clean(event.description))
        case ApiRetry():
            entry = Entry("waits", clean(f"{event.description}, attempt {event.attempt}"), has_failed=True)
        case Text():
            entry = Entry("says" if event.role == "assistant" else "input", sections=_sections(text=event.text))
        case Thinking():
            entry = Entry("thinks", sections=_sections(text=event.text))
        case ToolUse():
            entry = _call(event)
        case ToolResult():
            entry = Entry("input", "a result without its call")
            _add_result(entry, event)
        case Result():
            title = clean(f"{event.subtype} after {event.turns} turns")
            denials = [dict(denial) for denial in event.permission_denials]
            sections = _sections(result=event.text, errors=list(event.errors), denied=denials)
            entry = Entry("ends", title, sections=sections, has_failed=event.is_error)
    if entry:
        entry.timestamp, entry.is_nested = event.timestamp, event.is_nested
    return entry


def _call(use: ToolUse) -> Entry:
    key = next((key for key in _TITLES if use.input.get(key)), "")
    words = " ".join(clean(json_text(use.input.get(key, ""))).split())
    title = words if len(words) <= _TITLE_MAX else f"{words[:_TITLE_MAX]}…"
    rest = {clean(name): value for name, value in use.input.items() if name != key or value != words}
    if {"old_string", "new_string"} <= rest.keys():
        old, new = json_text(rest.pop("old_string")), json_text(rest.pop("new_string"))
        return Entry("calls", title, clean(use.name), sections=[*_sections(**rest), _diff(old, new)])
    if "description" in rest:
        rest = {"text": rest.pop("description"), **rest}  # the agent's own words about the call need no label
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
    """Return a section for each value that is not empty.

    The value's name becomes the section's label, which is not redacted here: the caller must have redacted it.
    """
    return [Section(label, clean(json_text(value))) for label, value in values.items() if value not in (None, "", [])]


def clean(text: str) -> str:
    """Return the text redacted, with invisible characters replaced by visible code points.

    The characters are replaced first, because an invisible character may split a secret.
    """
    return redact(visible(text))
