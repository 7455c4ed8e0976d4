"""Claude Code's event stream: lines whatever the chunks, events whatever the bytes, one log line for each step."""

import bisect
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flows.claude.events import LineFramer, parse, steps

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("a\nb\x1b[31m"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
BLOCKS = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "thinking", "tool_use", "tool_result", "image"]) | JSON_VALUES},
    optional={
        "text": JSON_VALUES,
        "name": st.sampled_from(["Bash", "Read", "Write", "Edit", "NotebookEdit", "Task"]) | JSON_VALUES,
        "input": st.dictionaries(
            st.sampled_from(["command", "file_path", "notebook_path", "content", "description"]), JSON_VALUES
        )
        | JSON_VALUES,
        "content": st.lists(st.fixed_dictionaries({"text": JSON_VALUES})) | JSON_VALUES,
        "is_error": JSON_VALUES,
    },
)
EVENTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["system", "assistant", "user", "result"]) | JSON_VALUES},
    optional={
        "subtype": st.sampled_from(["init", "api_retry", "success"]) | JSON_VALUES,
        "message": st.fixed_dictionaries({"content": st.lists(BLOCKS, max_size=3) | JSON_VALUES}) | JSON_VALUES,
        **dict.fromkeys(
            ["model", "claude_code_version", "error_status", "error", "attempt", "num_turns", "total_cost_usd"],
            JSON_VALUES,
        ),
    },
)


def framed(framer: LineFramer, chunks: Iterable[bytes]) -> list[bytes]:
    return [*(line for chunk in chunks for line in framer.feed(chunk)), framer.rest()]


@settings(deadline=None)
@given(
    st.lists(st.binary(max_size=20) | st.sampled_from([b"\n", b"\n\n", b"a\r\n", b"", b"\xc3", b"\xa9"]), max_size=20)
)
def test_lines_are_the_same_however_the_stream_is_cut(chunks: list[bytes]) -> None:
    assert framed(LineFramer(), chunks) == b"".join(chunks).split(b"\n")


@settings(deadline=None)
@given(st.lists(st.text("ab\n", max_size=12).map(str.encode), max_size=20), st.integers(min_value=0, max_value=8))
def test_a_line_over_the_limit_comes_out_empty_and_no_other_does(chunks: list[bytes], limit: int) -> None:
    lines = b"".join(chunks).split(b"\n")
    assert framed(LineFramer(limit), chunks) == [line if len(line) <= limit else b"" for line in lines]


def test_an_over_long_line_is_not_kept_in_memory_while_it_comes() -> None:
    framer = LineFramer(limit=1000)
    for _ in range(5000):
        assert list(framer.feed(b"x" * 500)) == []
    assert sum(len(part) for part in framer._parts) <= 1000
    assert list(framer.feed(b'\n{"type": "result"}\nrest')) == [b"", b'{"type": "result"}']
    assert framer.rest() == b"rest"
    assert framer.rest() == b""


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (b'{"type": "result"}', {"type": "result"}),
        (b' {"type": "result"}\r', {"type": "result"}),
        (b'{"type": "new_kind", "a": [1]}', {"type": "new_kind", "a": [1]}),
        (b'{"text": "\xff\xc3"}', {"text": "\ufffd\ufffd"}),
        (b'{"type": "resu', {}),
        (b'{"type": "result"} trailing', {}),
        (b"", {}),
        (b"Debugger attached.", {}),
        (b"[1]", {}),
        (b'"text"', {}),
        (b"null", {}),
        (b"\x00\x01", {}),
        (b"\xef\xbb\xbf{}", {}),
        (b'{"n": ' + b"9" * 5000 + b"}", {}),
        (b"[" * 100_000, {}),
        (b'{"a":' * 100_000, {}),
    ],
    ids=range(16),
)
def test_a_line_is_an_event_or_nothing(line: bytes, event: dict[str, Any]) -> None:
    assert parse(line) == event


@settings(deadline=None)
@given(st.binary(max_size=60) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_line_is_an_event_or_nothing(line: bytes) -> None:
    assert isinstance(parse(line), dict)


def said(*blocks: object, kind: str = "assistant") -> dict[str, Any]:
    return {"type": kind, "message": {"role": kind, "content": list(blocks)}}


def used(name: str, **given_input: object) -> dict[str, Any]:
    return said({"type": "tool_use", "id": "toolu_1", "name": name, "input": given_input})


FAILED = {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": True}


@pytest.mark.parametrize(
    ("event", "lines"),
    [
        ({"type": "system", "subtype": "init", "model": "claude-opus-5-5", "claude_code_version": "2.1.330"},
         ["starts: model claude-opus-5-5, Claude Code 2.1.330"]),
        ({"type": "system", "subtype": "api_retry", "error_status": 529, "attempt": 2},
         ["waits: the model answered 529, attempt 2"]),
        ({"type": "system", "subtype": "api_retry", "error_status": None, "error": "unknown", "attempt": 1},
         ["waits: the model answered unknown, attempt 1"]),
        ({"type": "system", "subtype": "status"}, []),
        (said({"type": "text", "text": "All\n  done."}), ["says: All done."]),
        (said({"type": "text", "text": ""}), []),
        (said({"type": "thinking", "thinking": "secret thoughts"}), ["thinks"]),
        (used("Bash", command="cat a |\n  sort", description="look"), ["runs cat a | sort"]),
        (used("Read", file_path="/w/a.py"), ["reads /w/a.py"]),
        (used("Write", file_path="/w/a.py", content="1\n2\n3\n"), ["writes /w/a.py (3 lines)"]),
        (used("Edit", file_path="/w/a.py", old_string="a", new_string="b"), ["edits /w/a.py"]),
        (used("NotebookEdit", notebook_path="/w/a.ipynb"), ["edits /w/a.ipynb"]),
        (used("Task", description="Look around", prompt="long"), ["asks a subagent: Look around"]),
        (used("Agent", description="Look around"), ["asks a subagent: Look around"]),
        (used("WebFetch", url="https://example.com"), ["uses WebFetch"]),
        (said({"type": "text", "text": "a"}, {"type": "text", "text": "b"}), ["says: a", "says: b"]),
        (said({"type": "tool_result", "content": "fine"}, kind="user"), []),
        (said({**FAILED, "content": "Exit code 1\nno such file"}, kind="user"), ["→ failed: Exit code 1 no such file"]),
        (said({**FAILED, "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, kind="user"),
         ["→ failed: a b"]),
        ({"type": "user", "message": {"role": "user", "content": "plain text"}}, []),
        ({"type": "result", "subtype": "success", "num_turns": 4, "total_cost_usd": 0.01}, ["ends after 4 turns"]),
        ({"type": "result", "subtype": "error_max_turns", "num_turns": 9}, ["ends after 9 turns"]),
        ({"type": "new_kind"}, []),
        ({}, []),
    ],
    ids=range(24),
)  # fmt: skip
def test_each_thing_that_the_agent_does_is_one_line_of_the_log(event: dict[str, Any], lines: list[str]) -> None:
    assert list(steps(event)) == lines


def test_a_long_text_is_cut_and_its_length_said() -> None:
    assert list(steps(said({"type": "text", "text": "x" * 1234}))) == [f"says: {'x' * 160}… (1,234 characters)"]


def check_steps(event: dict[str, Any]) -> None:
    for step in steps(event):
        assert step.splitlines() == [step]
        assert not [c for c in step if ord(c) < 32 or 127 <= ord(c) < 160]


@settings(deadline=None, max_examples=300)
@given(EVENTS)
@example({"type": "assistant", "message": {"content": [{"type": "tool_use", "name": "mcp\n2026 | ERROR | forged"}]}})
@example({"type": "system", "subtype": "init", "model": "\x1b[2J"})
def test_the_steps_of_any_event_are_one_line_each_without_control_characters(event: dict[str, Any]) -> None:
    check_steps(event)


@pytest.mark.parametrize("cost", [b"1e999", b"-1e999", b"NaN", b"1" + b"0" * 400, b"true", b'"1"', b"[]", b"null"])
def test_a_strange_cost_does_not_end_the_reading(cost: bytes) -> None:
    check_steps(dict(parse(b'{"type": "result", "num_turns": 1, "total_cost_usd": ' + cost + b"}")))


@pytest.mark.parametrize(("opened", "closed"), [(b"[", b"]"), (b'{"text":', b"}"), (b'[{"text":', b"}]")])
def test_what_is_nested_as_deep_as_can_be_parsed_does_not_end_the_reading(opened: bytes, closed: bytes) -> None:
    head = b'{"type": "user", "message": {"content": [{"type": "tool_result", "is_error": true, "content": '

    def nested(depth: int) -> dict[str, Any]:
        return dict(parse(head + opened * depth + b"1" + closed * depth + b"}]}}"))

    deepest = bisect.bisect_left(range(100_000), key=lambda depth: not nested(depth), x=True) - 1
    assert deepest > 100
    for depth in range(deepest - 10, deepest + 1):
        check_steps(nested(depth))
