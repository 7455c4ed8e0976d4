"""Defines a class for each kind of Claude Code's events, for the log, the transcript page and the verdict on a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from flows.agent.events import JsonObject, json_text

_PATH_FIELDS: Final = ("file_path", "notebook_path", "path")
"""The names of the fields in a tool call's input that hold a path."""

Role = Literal["program", "assistant", "user"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The base class of all events. A message in Claude Code's output becomes one event for each content block."""

    role: Role = "program"
    """Who sent it: Claude Code (`program`), the model (`assistant`) or the user. Tool results count as the user's."""
    timestamp: str = ""
    """The time of the event in ISO 8601; empty for the kinds of event that Claude Code sends without a time."""
    is_nested: bool = False
    """Whether the event comes from a subagent's conversation."""


@dataclass(frozen=True, slots=True)
class SessionStarted(Event):
    """Claude Code has started a new session or resumed an old one."""

    model: str
    version: str
    failed_servers: tuple[str, ...] = ()
    """The names of the MCP servers that cannot be used."""

    @property
    def description(self) -> str:
        """A phrase that names the model and the version of Claude Code."""
        return f"model {self.model}, Claude Code {self.version}"


@dataclass(frozen=True, slots=True)
class ApiRetry(Event):
    """Claude Code will repeat a failed request to the model's API after a pause."""

    reason: str
    """The HTTP status of the failed request, or the name of the error if no reply came."""
    attempt: str

    @property
    def description(self) -> str:
        """A phrase that gives the reason for the retry."""
        return f"the model answered {self.reason}"


@dataclass(frozen=True, slots=True)
class Compaction(Event):
    """Claude Code summarized the conversation, because it was about to outgrow the model's context."""


@dataclass(frozen=True, slots=True)
class Text(Event):
    """A block of text that the model wrote or received."""

    text: str


@dataclass(frozen=True, slots=True)
class Thinking(Event):
    """A block of the model's thinking."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolUse(Event):
    """The model calls a tool."""

    id: str
    name: str
    input: JsonObject


@dataclass(frozen=True, slots=True)
class ToolResult(Event):
    """A tool call has ended and returns its result to the model."""

    tool_use_id: str
    content: object
    """The result as the model receives it: text, or a list of parts."""
    is_error: bool
    detail: object
    """Claude Code's `tool_use_result`: further details, in a form that depends on the tool."""

    @property
    def text(self) -> str:
        """The result as text. A part that is not text is replaced by its type and size."""
        if isinstance(self.content, list):
            return "\n".join(_part_text(part) for part in self.content if isinstance(part, dict))
        return json_text(self.content or "")


@dataclass(frozen=True, slots=True)
class Result(Event):
    """The agent's work has ended, with this result. Claude Code can send several results; the last one counts."""

    subtype: str = ""
    """Claude Code's name for how the work ended. This is `success` even after an API error."""
    is_error: bool = False
    text: str = ""
    """The model's final message, or the text of the error."""
    errors: tuple[str, ...] = ()
    turns: int = 0
    duration_seconds: float = 0
    session_id: str = ""
    terminal_reason: str = ""
    api_error_status: int = 0
    """The HTTP status of the API error that ended the work; 0 if there was none."""
    model_usage: Mapping[str, Any] = field(default_factory=dict)
    """The tokens and the cost by model, in the format of Claude Code's `modelUsage`."""
    permission_denials: tuple[JsonObject, ...] = ()
    structured_output: JsonObject = field(default_factory=dict)
    """The model's final answer in the form of `--json-schema`; empty if the model gave none."""

    @property
    def denied_tools(self) -> tuple[str, ...]:
        """The names of the tools in the denied calls, one name for each call."""
        return tuple(json_text(denial.get("tool_name")) for denial in self.permission_denials)

    @property
    def denied_paths(self) -> tuple[str, ...]:
        """The paths in the inputs of the denied calls, as the agent wrote them."""
        inputs = (denial.get("tool_input") for denial in self.permission_denials)
        paths = (call.get(name) for call in inputs if isinstance(call, dict) for name in _PATH_FIELDS)
        return tuple(dict.fromkeys(path for path in paths if isinstance(path, str) and path))


@dataclass(frozen=True, slots=True)
class Unknown(Event):
    """An event or a block of an unknown kind, or a message without blocks. Only the transcript shows it."""

    kind: str


def _part_text(part: JsonObject) -> str:
    text = part.get("text")
    return text if isinstance(text, str) else f"[{json_text(part.get('type'))}, {len(json_text(part)):,} characters]"
