"""The types of Claude Code's events, for the log, the transcript's page and the verdict. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from flows.agent.events import JsonObject, json_text

Role = Literal["program", "assistant", "user"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What all events have. An event of Claude Code holds one of these, or one for each block of a message."""

    role: Role = "program"
    """Whose it is: Claude Code's own, the model's, or that of the user's side, on which the results of tools are."""
    timestamp: str = ""
    """ISO 8601; empty for some kinds."""
    is_nested: bool = False
    """Whether it belongs to a subagent."""


@dataclass(frozen=True, slots=True)
class SessionStarted(Event):
    """The session is open; a resumed one as well."""

    model: str
    version: str

    @property
    def description(self) -> str:
        """The program and its model."""
        return f"model {self.model}, Claude Code {self.version}"


@dataclass(frozen=True, slots=True)
class ApiRetry(Event):
    """Claude Code waits, and asks the model's API again."""

    reason: str
    """HTTP status, or the error's name if there was no reply."""
    attempt: str

    @property
    def description(self) -> str:
        """The reply to the last attempt."""
        return f"the model answered {self.reason}"


@dataclass(frozen=True, slots=True)
class Compaction(Event):
    """Claude Code summarized the conversation, because it was about to outgrow the model's context."""


@dataclass(frozen=True, slots=True)
class Text(Event):
    """Words of the model, or to it."""

    text: str


@dataclass(frozen=True, slots=True)
class Thinking(Event):
    """What the model thinks."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolUse(Event):
    """The model calls a tool."""

    id: str
    name: str
    input: JsonObject


@dataclass(frozen=True, slots=True)
class ToolResult(Event):
    """What a tool returned."""

    tool_use_id: str
    content: object
    """As the model gets it: text, or a list of parts."""
    is_error: bool
    detail: object
    """`tool_use_result`: what Claude Code knows besides, in a form of the tool's own."""

    @property
    def text(self) -> str:
        """The content as text; a part that is not text is named with its size."""
        if isinstance(self.content, list):
            return "\n".join(_part_text(part) for part in self.content if isinstance(part, dict))
        return json_text(self.content or "")


@dataclass(frozen=True, slots=True)
class Result(Event):
    """The end of a run of the agent. Claude Code can give several; the last one counts."""

    subtype: str = ""
    """`success` also after an error of the API."""
    is_error: bool = False
    text: str = ""
    """The model's last words, or the error."""
    errors: tuple[str, ...] = ()
    turns: int = 0
    duration_seconds: float = 0
    session_id: str = ""
    terminal_reason: str = ""
    api_error_status: int = 0
    """HTTP status; 0 without an error of the API."""
    model_usage: Mapping[str, Any] = field(default_factory=dict)
    """Tokens and cost by model, in Claude Code's own form (`modelUsage`)."""
    permission_denials: tuple[JsonObject, ...] = ()

    @property
    def denied_tools(self) -> tuple[str, ...]:
        """The name of each tool that was denied, as often as it was."""
        return tuple(json_text(denial.get("tool_name")) for denial in self.permission_denials)


@dataclass(frozen=True, slots=True)
class Unknown(Event):
    """An event or a block of a kind that is not known here, or a message without blocks. Only the transcript has it."""

    kind: str


def _part_text(part: JsonObject) -> str:
    text = part.get("text")
    return text if isinstance(text, str) else f"[{json_text(part.get('type'))}, {len(json_text(part)):,} characters]"
