"""Parses the JSON of Claude Code's events into typed events. No other module depends on the form of this JSON.

Any JSON is accepted: the agent's child processes can also write into the stream, and each version of Claude Code adds
events. A field of an unexpected type becomes text or is left empty. An unknown event becomes an `Unknown`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from flows.agent.event_types import (
    ApiRetry,
    Compaction,
    Event,
    Result,
    SessionStarted,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Unknown,
)
from flows.agent.events import JsonObject, json_text, parse

_FAILED_STATES: Final = ("failed", "needs-auth")
"""Claude Code's words for an MCP server that cannot be used."""


def read_events(line: bytes) -> Sequence[Event]:
    """Return the typed events of one line of Claude Code's output; empty if the line is not a JSON object."""
    value = parse(line)
    return typed_events(value) if value else ()


def typed_events(value: JsonObject) -> Sequence[Event]:
    """Return the typed events of one JSON object of Claude Code's output. There is always at least one."""
    kind, timestamp = value.get("type"), _text(value.get("timestamp"))
    if kind in ("assistant", "user"):
        return _message_events(value, {"role": kind, "timestamp": timestamp})
    return [_program_event(value, timestamp)]


def _program_event(value: JsonObject, timestamp: str) -> Event:
    match value.get("type"), value.get("subtype"):
        case "system", "init":
            model, version = _text(value.get("model")), _text(value.get("claude_code_version"))
            return SessionStarted(model, version, _failed_servers(value), timestamp=timestamp)
        case "system", "api_retry":
            reason = _text(value.get("error_status") or value.get("error"))
            return ApiRetry(reason, _text(value.get("attempt")), timestamp=timestamp)
        case "system", "compact_boundary":
            return Compaction(timestamp=timestamp)
        case "result", _:
            return _result(value, timestamp)
        case kind, _:
            return Unknown(_text(kind), timestamp=timestamp)


def _failed_servers(value: JsonObject) -> tuple[str, ...]:
    servers = value.get("mcp_servers")
    servers = servers if isinstance(servers, list) else []
    states = ((_text(server.get("name")), server.get("status")) for server in servers if isinstance(server, dict))
    return tuple(name for name, status in states if status in _FAILED_STATES)


def _message_events(value: JsonObject, common: dict[str, Any]) -> Sequence[Event]:
    if value.get("parent_tool_use_id"):
        common["is_nested"] = True
    message, detail = value.get("message"), value.get("tool_use_result")
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        return [Text(content, **common)]
    blocks = content if isinstance(content, list) else []
    events = [_block_event(block, detail, common) for block in blocks if isinstance(block, dict)]
    return events or [Unknown(common["role"], **common)]


def _block_event(block: JsonObject, detail: object, common: Mapping[str, Any]) -> Event:
    match block.get("type"):
        case "text":
            return Text(_text(block.get("text")), **common)
        case "thinking":
            return Thinking(_text(block.get("thinking")), **common)
        case "tool_use":
            fields = block.get("input")
            fields = fields if isinstance(fields, dict) else {"input": fields}
            return ToolUse(_text(block.get("id")), _text(block.get("name")), fields, **common)
        case "tool_result":
            is_error = bool(block.get("is_error"))
            return ToolResult(_text(block.get("tool_use_id")), block.get("content"), is_error, detail, **common)
        case kind:
            return Unknown(_text(kind), **common)


def _result(value: JsonObject, timestamp: str) -> Result:
    errors, denials, usage = value.get("errors"), value.get("permission_denials"), value.get("modelUsage")
    output = value.get("structured_output")
    return Result(
        subtype=_text(value.get("subtype")),
        is_error=bool(value.get("is_error")),
        text=_text(value.get("result")),
        errors=tuple(map(_text, errors if isinstance(errors, list) else [errors] if errors else [])),
        # Claude Code counts the call for the final answer as a turn, although no request follows.
        turns=int(_number(value.get("num_turns"))) - bool(output),
        duration_seconds=_number(value.get("duration_ms")) / 1000,
        session_id=_text(value.get("session_id")),
        terminal_reason=_text(value.get("terminal_reason")),
        api_error_status=int(_number(value.get("api_error_status"))),
        model_usage=usage if isinstance(usage, dict) else {},
        permission_denials=tuple(d for d in denials if isinstance(d, dict)) if isinstance(denials, list) else (),
        structured_output=output if isinstance(output, dict) else {},
        timestamp=timestamp,
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else json_text(value)


def _number(value: object) -> float:
    """Return a finite number as a float, and 0 for any other value."""
    try:
        number = float(value) if isinstance(value, int | float) else 0.0
    except OverflowError:
        return 0.0
    return number if math.isfinite(number) else 0.0
