"""Each event of Claude Code is parsed into its type, and any JSON is accepted."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.agent.event_parser import read_events, typed_events
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

AT = "2026-11-23T12:56:04.285Z"
DENIAL = {"tool_name": "WebFetch", "tool_use_id": "1", "tool_input": {}}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
# fmt: off
FIELDS = [
    "subtype", "model", "claude_code_version", "error_status", "error", "attempt", "timestamp", "parent_tool_use_id",
    "tool_use_result", "message", "is_error", "result", "errors", "num_turns", "duration_ms", "session_id",
    "terminal_reason", "api_error_status", "modelUsage", "permission_denials",
]
# fmt: on


def message(role: str, *blocks: object, **fields: object) -> dict[str, Any]:
    return {"type": role, "message": {"role": role, "content": list(blocks)}, "timestamp": AT, **fields}


@pytest.mark.parametrize(
    ("value", "events"),
    [
        ({"type": "system", "subtype": "init", "model": "claude-opus-5-5", "claude_code_version": "2.1.330"},
         [SessionStarted("claude-opus-5-5", "2.1.330")]),
        ({"type": "system", "subtype": "api_retry", "error_status": 529, "error": "overloaded", "attempt": 2},
         [ApiRetry("529", "2")]),
        ({"type": "system", "subtype": "api_retry", "error_status": None, "error": "unknown", "attempt": 1},
         [ApiRetry("unknown", "1")]),
        ({"type": "system", "subtype": "compact_boundary"}, [Compaction()]),
        (message("assistant", {"type": "text", "text": "a"}, {"type": "thinking", "thinking": "b"}),
         [Text("a", role="assistant", timestamp=AT), Thinking("b", role="assistant", timestamp=AT)]),
        (message("assistant", {"type": "tool_use", "id": "t1", "name": "Read", "input": {"file_path": "a"}},
                 parent_tool_use_id="t0"),
         [ToolUse("t1", "Read", {"file_path": "a"}, role="assistant", timestamp=AT, is_nested=True)]),
        (message("user", {"type": "tool_result", "tool_use_id": "t1", "content": "x", "is_error": True},
                 tool_use_result={"a": 1}),
         [ToolResult("t1", "x", is_error=True, detail={"a": 1}, role="user", timestamp=AT)]),
        ({"type": "user", "message": {"role": "user", "content": "plain"}}, [Text("plain", role="user")]),
        (message("assistant", {"type": "redacted_thinking"}, 3),
         [Unknown("redacted_thinking", role="assistant", timestamp=AT)]),
        ({"type": "assistant"}, [Unknown("assistant", role="assistant")]),
        ({"type": "system", "subtype": "status"}, [Unknown("system")]),
        ({"type": ["new"]}, [Unknown('[\n "new"\n]')]),
        ({"type": "result"}, [Result()]),
        ({"type": "result", "subtype": "success", "is_error": False, "result": "Done.", "num_turns": 4,
          "duration_ms": 1250, "session_id": "s", "terminal_reason": "completed", "api_error_status": None,
          "modelUsage": {"m": {}}, "permission_denials": [DENIAL]},
         [Result("success", text="Done.", turns=4, duration_seconds=1.25, session_id="s", terminal_reason="completed",
                 model_usage={"m": {}}, permission_denials=(DENIAL,))]),
        ({"type": "result", "subtype": "error_during_execution", "is_error": True, "errors": ["a", {"b": 1}]},
         [Result("error_during_execution", is_error=True, errors=("a", '{\n "b": 1\n}'))]),
    ],
    ids=range(15),
)  # fmt: skip
def test_each_event_is_parsed_into_its_type(value: dict[str, Any], events: list[Event]) -> None:
    assert list(typed_events(value)) == events


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("plain", "plain"),
        ([{"type": "text", "text": "a"}, {"text": "b"}], "a\nb"),
        ([{"type": "image", "source": "x"}], "[image, 36 characters]"),
        ([], ""),
        (None, ""),
        ({"a": 1}, '{\n "a": 1\n}'),
    ],
)
def test_the_content_of_a_tool_result_is_available_as_text(content: object, text: str) -> None:
    assert ToolResult("t", content, is_error=False, detail=None).text == text


@given(
    st.sampled_from(["system", "assistant", "user", "result", "x"]) | JSON_VALUES,
    st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES),
    st.lists(
        st.fixed_dictionaries(
            {"type": st.sampled_from(["text", "thinking", "tool_use", "tool_result"]) | JSON_VALUES},
            optional=dict.fromkeys(
                ["text", "thinking", "id", "name", "input", "tool_use_id", "content", "is_error"], JSON_VALUES
            ),
        ),
        max_size=3,
    ),
)
def test_any_object_becomes_at_least_one_event_with_correctly_typed_fields(
    kind: object, fields: dict[str, Any], blocks: list[dict[str, Any]]
) -> None:
    value = {"type": kind, "message": {"content": blocks}, **fields}
    events = list(typed_events(value))
    assert events
    for event in events:
        types = {field.name: str(field.type) for field in dataclasses.fields(event)}
        for name, type_ in types.items():
            if type_ in {"str", "bool", "int"}:
                assert type(getattr(event, name)).__name__ == type_
        assert not isinstance(event, ToolResult) or isinstance(event.text, str)
        assert not isinstance(event, Result) or all(isinstance(name, str) for name in event.denied_tools)


@given(st.binary(max_size=60) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_line_can_be_parsed(line: bytes) -> None:
    assert all(isinstance(event, Event) for event in read_events(line))


def test_only_one_module_knows_the_json_of_the_events() -> None:
    root = Path(__file__).parents[3] / "flows"
    names = ("tool_use_id", "parent_tool_use_id", "api_retry", "compact_boundary", "num_turns")
    modules = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if any(f'"{name}"' in path.read_text() for name in names)
    }
    assert modules == {"agent/event_parser.py"}
