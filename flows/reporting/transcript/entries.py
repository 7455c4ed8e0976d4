"""The agent's events as the entries of a page: what it said, and each tool call with its result. Pure."""

import difflib
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from flows.agent.events import Event
from flows.redaction import redact

_ESCAPE_SEQUENCES: Final = re.compile(r"\x1b(?:\[[0-9;:?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_UNSEEN: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""What a reader would not see, or what turns text around: each is written out, by its number."""

_TITLES: Final = ("command", "file_path", "notebook_path", "path", "pattern", "url", "query", "description", "skill")
_TITLE_MAX: Final = 200
_DIFF_MAX_LINES: Final = 2_000
"""To compare more takes time that grows with their square."""


@dataclass
class Section:
    """A text of an entry; `cut` says how many characters are left out at its end."""

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
    """begins, told, says, thinks, calls, waits or ends."""
    title: str = ""
    name: str = ""
    """The tool's."""
    at: str = ""
    """When, as the event says it."""
    sections: list[Section] = field(default_factory=list)
    is_nested: bool = False
    """Of a subagent."""
    has_failed: bool = False


def entries(events: Iterable[Event]) -> Iterator[Entry]:
    """Yield the entries: a tool call once its result is there, and what comes between the two after it."""
    waiting: deque[Entry] = deque()
    calls: dict[str, Entry] = {}
    for event in events:
        for block in _blocks(event):
            if block.get("type") == "tool_result" and (call := calls.pop(str(block.get("tool_use_id")), None)):
                _add_result(call, block)
            elif entry := _entry(event, block):
                waiting.append(entry)
                if entry.kind == "calls":
                    calls[str(block.get("id"))] = entry
        open_calls = {id(entry) for entry in calls.values()}
        while waiting and id(waiting[0]) not in open_calls:
            yield waiting.popleft()
    yield from waiting


def _blocks(event: Event) -> Iterator[Event]:
    if event.get("type") not in {"assistant", "user"}:
        yield event
        return
    message = event.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        yield {"type": "text", "text": content}
    yield from (block for block in content if isinstance(block, dict)) if isinstance(content, list) else ()


def _entry(event: Event, block: Event) -> Entry | None:
    entry = _of_agent(event, block) if block is not event else _of_program(event)
    if entry:
        entry.at = str(event.get("timestamp") or "")
        entry.is_nested = bool(event.get("parent_tool_use_id"))
    return entry


def _of_agent(event: Event, block: Event) -> Entry | None:
    match block.get("type"):
        case "text":
            return Entry(
                "says" if event.get("type") == "assistant" else "told", sections=_texts(text=block.get("text"))
            )
        case "thinking":
            return Entry("thinks", sections=_texts(text=block.get("thinking")))
        case "tool_use":
            given = block.get("input")
            return _call(str(block.get("name")), given if isinstance(given, dict) else {"input": given})
        case "tool_result":
            entry = Entry("told", "a result without its call")
            _add_result(entry, block)
            return entry
    return None


def _of_program(event: Event) -> Entry | None:
    match event.get("type"), event.get("subtype"):
        case "system", "init":
            return Entry("begins", f"model {event.get('model')}, Claude Code {event.get('claude_code_version')}")
        case "system", "api_retry":
            why = event.get("error_status") or event.get("error")
            return Entry("waits", f"the model answered {why}, attempt {event.get('attempt')}", has_failed=True)
        case "result", subtype:
            title = f"{subtype} after {event.get('num_turns')} turns"
            sections = _texts(result=event.get("result"), errors=event.get("errors"), denied=_denied(event))
            return Entry("ends", title, sections=sections, has_failed=bool(event.get("is_error")))
    return None


def _denied(event: Event) -> str:
    denials = event.get("permission_denials")
    return _text(denials) if denials else ""


def _call(name: str, given: Mapping[str, Any]) -> Entry:
    known = next((key for key in _TITLES if given.get(key)), "")
    words = " ".join(clean(_text(given.get(known, ""))).split())
    title = words if len(words) <= _TITLE_MAX else f"{words[:_TITLE_MAX]}…"
    rest = {key: value for key, value in given.items() if key != known or value != words}
    if {"old_string", "new_string"} <= rest.keys():
        old, new = _text(rest.pop("old_string")), _text(rest.pop("new_string"))
        return Entry("calls", title, clean(name), sections=[*_texts(**rest), _diff(old, new)])
    if "description" in rest:
        rest = {"text": rest.pop("description"), **rest}  # what the agent says it is for: no label is needed
    return Entry("calls", title, clean(name), sections=_texts(**rest))


def _diff(old: str, new: str) -> Section:
    before, after = clean(old).split("\n"), clean(new).split("\n")
    if len(before) + len(after) > _DIFF_MAX_LINES:
        lines = [*(f"-{line}" for line in before), *(f"+{line}" for line in after)]
    else:
        lines = list(difflib.unified_diff(before, after, n=3, lineterm=""))[3:]
    return Section("change", "\n".join(lines), is_diff=True)


def _add_result(entry: Entry, block: Event) -> None:
    entry.has_failed = bool(block.get("is_error"))
    entry.sections += _texts(**{"failed" if entry.has_failed else "result": _result(block.get("content"))})


def _result(content: object) -> str:
    if not isinstance(content, list):
        return _text(content or "")
    return "\n".join(_part(part) for part in content if isinstance(part, dict))


def _part(part: Event) -> str:
    if part.get("type") == "text":
        return str(part.get("text", ""))
    return f"[{part.get('type')}, {len(_text(part)):,} characters]"


def _texts(**given: object) -> list[Section]:
    return [Section(clean(label), clean(_text(value))) for label, value in given.items() if value not in (None, "", [])]


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, indent=1)
    except RecursionError:  # what can be read need not be writable
        return "[nested too deeply to be shown]"


def clean(text: str) -> str:
    """Take colours out, write out what cannot be seen, and redact: in this order, for a colour may part a secret."""
    plain = _ESCAPE_SEQUENCES.sub("", text.replace("\r\n", "\n"))
    return redact(_UNSEEN.sub(lambda found: f"[U+{ord(found[0]):04X}]", plain))
