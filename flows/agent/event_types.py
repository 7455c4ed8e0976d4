"""Defines the types of Claude Code's events for the log, the transcript page and the judgement of a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from flows.agent.events import JsonObject, json_text

_PATH_FIELDS: Final = ("file_path", "notebook_path", "path")
"""The fields of a tool's input that hold a path."""

Role = Literal["program", "assistant", "user"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The fields that all events share. A message in Claude Code's stream becomes one event for each of its blocks."""

    role: Role = "program"
    """Who sent the event: Claude Code itself, the model, or the user. Tool results count as sent by the user."""
    timestamp: str = ""
    """Time in ISO 8601; empty for some kinds of event."""
    is_nested: bool = False
    """Whether the event belongs to a subagent."""


@dataclass(frozen=True, slots=True)
class SessionStarted(Event):
    """A new or resumed session has started."""

    model: str
    version: str

    @property
    def description(self) -> str:
        """The model, and the version of Claude Code."""
        return f"model {self.model}, Claude Code {self.version}"


@dataclass(frozen=True, slots=True)
class ApiRetry(Event):
    """Claude Code waits before it sends a request to the model's API again."""

    reason: str
    """The HTTP status of the last reply, or the name of the error if no reply came."""
    attempt: str

    @property
    def description(self) -> str:
        """The reason for the retry, as a phrase."""
        return f"the model answered {self.reason}"


@dataclass(frozen=True, slots=True)
class Compaction(Event):
    """Claude Code summarized the conversation, because it was about to outgrow the model's context."""


@dataclass(frozen=True, slots=True)
class Text(Event):
    """Text from the model or to it."""

    text: str


@dataclass(frozen=True, slots=True)
class Thinking(Event):
    """A thinking block of the model."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolUse(Event):
    """A call of a tool by the model."""

    id: str
    name: str
    input: JsonObject


@dataclass(frozen=True, slots=True)
class ToolResult(Event):
    """The result of a tool call."""

    tool_use_id: str
    content: object
    """The result as the model receives it: text, or a list of parts."""
    is_error: bool
    detail: object
    """`tool_use_result`: further details from Claude Code, in a form that depends on the tool."""

    @property
    def text(self) -> str:
        """The content as text. A part that is not text is replaced by its type and size."""
        if isinstance(self.content, list):
            return "\n".join(_part_text(part) for part in self.content if isinstance(part, dict))
        return json_text(self.content or "")


@dataclass(frozen=True, slots=True)
class Result(Event):
    """The result of the agent's work. Claude Code can send several results; the last one counts."""

    subtype: str = ""
    """Claude Code's name for the kind of result. This is `success` even after an API error."""
    is_error: bool = False
    text: str = ""
    """The model's final message, or the text of the error."""
    errors: tuple[str, ...] = ()
    turns: int = 0
    duration_seconds: float = 0
    session_id: str = ""
    terminal_reason: str = ""
    api_error_status: int = 0
    """The HTTP status of an API error; 0 if there was none."""
    model_usage: Mapping[str, Any] = field(default_factory=dict)
    """Tokens and cost of each model, in Claude Code's own format (`modelUsage`)."""
    permission_denials: tuple[JsonObject, ...] = ()

    @property
    def denied_tools(self) -> tuple[str, ...]:
        """The names of the denied tools, one for each denial."""
        return tuple(json_text(denial.get("tool_name")) for denial in self.permission_denials)

    @property
    def denied_paths(self) -> tuple[str, ...]:
        """The paths that the denied calls name, as the agent wrote them."""
        inputs = (denial.get("tool_input") for denial in self.permission_denials)
        paths = (call.get(name) for call in inputs if isinstance(call, dict) for name in _PATH_FIELDS)
        return tuple(dict.fromkeys(path for path in paths if isinstance(path, str) and path))


@dataclass(frozen=True, slots=True)
class Unknown(Event):
    """An event or a block of an unknown kind, or a message without blocks. It appears in the transcript only."""

    kind: str


def _part_text(part: JsonObject) -> str:
    text = part.get("text")
    return text if isinstance(text, str) else f"[{json_text(part.get('type'))}, {len(json_text(part)):,} characters]"
