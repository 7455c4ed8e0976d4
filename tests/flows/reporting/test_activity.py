"""The activity log: one line for each step and its result, few lines even for a long run, and no forged lines."""

import bisect
import json
import logging
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flows.agent.event_parser import read_events, typed_events
from flows.agent.events import parse
from flows.reporting.activity import ActivityLog, LogLine

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("a\nb\x1b[31m"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
BLOCKS = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "thinking", "tool_use", "tool_result", "image"]) | JSON_VALUES},
    optional={
        "text": JSON_VALUES,
        "name": st.sampled_from(["Bash", "Read", "Write", "Edit", "NotebookEdit", "Task", "TodoWrite"]) | JSON_VALUES,
        "id": st.just("toolu_1"),
        "tool_use_id": st.just("toolu_1"),
        "input": st.dictionaries(
            st.sampled_from(["command", "file_path", "notebook_path", "content", "description", "todos"]), JSON_VALUES
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
        "tool_use_result": st.fixed_dictionaries({"structuredPatch": JSON_VALUES}) | JSON_VALUES,
        "message": st.fixed_dictionaries({"content": st.lists(BLOCKS, max_size=3) | JSON_VALUES}) | JSON_VALUES,
        **dict.fromkeys(
            ["model", "claude_code_version", "error_status", "error", "attempt", "num_turns", "total_cost_usd"],
            JSON_VALUES,
        ),
    },
)


def message(*blocks: object, kind: str = "assistant", **fields: object) -> dict[str, Any]:
    return {"type": kind, "message": {"role": kind, "content": list(blocks)}, **fields}


def call(name: str, number: int = 1, **parameters: object) -> dict[str, Any]:
    return message({"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": parameters})


def result(content: object, detail: object = None, number: int = 1, **fields: object) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": content, **fields}
    return message(block, kind="user", tool_use_result=detail)


def feed(activity: ActivityLog, event: dict[str, Any], now: float = 0) -> list[LogLine]:
    return [line for typed in typed_events(event) for line in activity.lines(typed, now)]


def logged_lines(*events: dict[str, Any], seconds: float = 0) -> list[str]:
    activity = ActivityLog(("/w/", "/i/"))
    return [line.text for number, event in enumerate(events) for line in feed(activity, event, number * seconds)]


PATCH = {"structuredPatch": [{"lines": [" a", "-b", "+c", "+d"]}, {"lines": ["+e"]}]}
PYTEST = "Exit code 1\n....F\n=== 3 failed, 12 passed in 0.31s ==="


@pytest.mark.parametrize(
    ("events", "lines"),
    [
        ([call("Edit", file_path="/w/src/app.py"), result("ok", PATCH)], ["edits src/app.py (+3 \u22121)"]),
        ([call("Edit", file_path="/w/a", new_string="1\n2"), result("ok", "text")], ["edits a (2 lines)"]),
        ([call("NotebookEdit", notebook_path="/w/a.ipynb", new_source="x"), result("ok")], ["edits a.ipynb (1 line)"]),
        ([call("Write", file_path="/w/a.py", content="1\n2\n3\n"), result("ok", {"structuredPatch": []})],
         ["writes a.py (3 lines)"]),
        ([call("Read", file_path="/i/spec.md"), result("the text")], ["reads spec.md"]),
        ([call("Bash", command="pytest -q"), result(PYTEST, is_error=True)],
         ["runs pytest -q \u2192 exit 1, 3 failed, 12 passed"]),
        ([call("Bash", command="cat a |\n  sort"), result("fine")], ["runs cat a | sort \u2192 exit 0"]),
        ([call("Bash", command="make"), result("Exit code 2\nmake: *** no rule\n", is_error=True)],
         ["runs make \u2192 exit 2, make: *** no rule"]),
        ([call("Bash", command="true"), result("Exit code 1", is_error=True)], ["runs true \u2192 exit 1"]),
        ([call("Bash", command="python -m unittest"), result("....\nRan 4 tests in 0.1s\n\nOK")],
         ["runs python -m unittest \u2192 exit 0, OK"]),
        ([call("Bash", command="cargo test"), result("test result: ok. 5 passed; 0 failed; 0 ignored")],
         ["runs cargo test \u2192 exit 0, 5 passed, 0 failed"]),
        ([call("Bash", command="x"), result("This command requires approval", is_error=True)],
         ["runs x \u2192 failed: This command requires approval"]),
        ([call("Read", file_path="/w/b"), result([{"type": "text", "text": "a"}, {"text": "b"}], is_error=True)],
         ["reads b \u2192 failed: a b"]),
        ([call("Grep", pattern="def x"), result("none")], ["looks for def x"]),
        ([call("WebFetch", url="https://example.com"), result("x")], ["looks up https://example.com"]),
        ([call("Task", description="Look around", prompt="long"), result("x")], ["asks a subagent: Look around"]),
        ([call("TodoWrite", todos=[{"status": "completed"}, {"status": "in_progress", "activeForm": "Testing"}]),
          result("")],
         ["plans: 1 of 2 done, now Testing"]),
        ([call("Other", x=1), result("x")], ["uses Other"]),
        ([result("x", number=7)], ["continues"]),
        ([message({"type": "text", "text": "All\n  done."})], ["says: All done."]),
        ([message({"type": "text", "text": ""})], []),
        ([message({"type": "text", "text": "The prompt of the subagent"}, kind="user", parent_tool_use_id="x")], []),
        ([message({"type": "thinking", "thinking": "secret thoughts"})] * 3, ["thinks"]),
        ([message({"type": "text", "text": "a"}, {"type": "text", "text": "b"})], ["says: a", "says: b"]),
        ([message({"type": "text", "text": "a"}, parent_tool_use_id="toolu_9")], ["a subagent says: a"]),
        ([{"type": "user", "message": {"role": "user", "content": "plain text"}}], []),
        ([{"type": "system", "subtype": "init", "model": "claude-opus-5-5", "claude_code_version": "2.1.332"}],
         ["starts: model claude-opus-5-5, Claude Code 2.1.332"]),
        ([{"type": "system", "subtype": "api_retry", "error_status": 529, "attempt": 3}],
         ["waits: the model is overloaded, attempt 3"]),
        ([{"type": "system", "subtype": "api_retry", "error_status": None, "error": "unknown", "attempt": 1}],
         ["waits: the model answered unknown, attempt 1"]),
        ([{"type": "system", "subtype": "status"}, {"type": "new_kind"}, {}], []),
        ([{"type": "result", "subtype": "success", "num_turns": 4}], ["ends after 4 turns"]),
        ([{"type": "result", "subtype": "error_max_turns", "num_turns": 9}], ["ends after 9 turns: error_max_turns"]),
    ],
    ids=range(32),
)  # fmt: skip
def test_each_step_is_one_line_with_its_result(events: list[dict[str, Any]], lines: list[str]) -> None:
    assert logged_lines(*events) == lines


def test_the_line_of_a_slow_step_has_its_duration() -> None:
    assert logged_lines(call("Bash", command="make"), result(""), seconds=61) == ["runs make \u2192 exit 0 (61 s)"]
    assert logged_lines(call("Bash", command="make"), result(""), seconds=9) == ["runs make \u2192 exit 0"]


def test_overlapping_steps_are_matched_with_their_results() -> None:
    events = (
        call("Bash", 1, command="a"),
        call("Bash", 2, command="b"),
        result("", number=2),
        result("", number=1),
    )
    assert logged_lines(*events) == ["runs b \u2192 exit 0", "runs a \u2192 exit 0"]


def test_the_current_activity_is_known_before_the_step_ends() -> None:
    activity = ActivityLog(("/w/",))
    assert activity.current_activity == "starts"
    feed(activity, call("Bash", command="cat /w/a"))
    assert activity.current_activity == "runs cat a"
    feed(activity, result(""))
    assert activity.current_activity == "waits for the model"


def test_a_long_text_is_cut_and_its_length_is_added() -> None:
    assert logged_lines(message({"type": "text", "text": "x" * 1234})) == [f"says: {'x' * 160}… (1,234 characters)"]


def test_a_secret_is_not_cut_in_half() -> None:
    token = "ghp_" + "a1B2" * 9
    [line] = logged_lines(message({"type": "text", "text": f"{'x ' * 70}{token} and more"}))
    assert line == f"says: {'x ' * 70}*** and more… (189 characters)"
    [line] = logged_lines(message({"type": "text", "text": f"{'x' * 158}{token}"}))
    assert line == f"says: {'x' * 158}**… (198 characters)"


def test_twenty_thousand_events_become_a_few_hundred_lines_that_count_the_skipped_steps() -> None:
    activity, lines = ActivityLog(in_detail=True), list[LogLine]()
    for number in range(10_000):
        for event in (call("Bash", number, command=f"step {number}"), result("x" * 10_000, number=number)):
            lines += feed(activity, event, number)
    lines += feed(activity, {"type": "result", "subtype": "success", "num_turns": 10_000})
    info = [line.text for line in lines if line.level == logging.INFO]
    assert 200 < len(info) < 400
    assert sum(len(text) for text in info) < 40_000
    skipped = sum(int(text[1:].partition(" ")[0].replace(",", "")) for text in info if text.startswith("("))
    steps = [text for text in info if " step " in text]
    assert len(steps) + skipped == 10_000
    debug = [line.text for line in lines if line.level == logging.DEBUG]
    assert all(f"runs step {number} \u2192" in "\n".join((*info, *debug)) for number in range(0, 10_000, 997))
    assert max(len(text) for text in debug) < 2100


def test_only_the_last_thousand_calls_without_a_result_are_remembered() -> None:
    activity = ActivityLog()
    for number in range(5000):
        feed(activity, call("Bash", number, command="x"))
    assert len(activity._calls) == 1000


def check_lines(*events: dict[str, Any]) -> None:
    activity = ActivityLog(in_detail=True)
    for number, event in enumerate(events):
        for line in feed(activity, event, number):
            assert line.text.splitlines() in ([line.text], [])
            assert not [c for c in line.text if ord(c) < 32 or 127 <= ord(c) < 160]
            assert line.text.encode()


@given(st.lists(EVENTS, max_size=4))
@example([{"type": "assistant", "message": {"content": [{"type": "tool_use", "name": "mcp\n2026 | ERROR | forged"}]}}])
@example([{"type": "system", "subtype": "init", "model": "\x1b[2J"}])
@example([{"type": "result", "num_turns": "4\nforged"}])
def test_each_line_of_any_event_is_a_single_line_without_control_characters(events: list[dict[str, Any]]) -> None:
    check_lines(*events)


@pytest.mark.parametrize("turns", [b"1e999", b"NaN", b"1" + b"0" * 400, b"true", b'"1"', b"[]", b"null"])
def test_an_invalid_number_of_turns_is_accepted(turns: bytes) -> None:
    [event] = read_events(b'{"type": "result", "total_cost_usd": 1, "num_turns": ' + turns + b"}")
    [line] = ActivityLog().lines(event, 0)
    assert re.match(r"ends after \d+ turns:$", line.text)


@pytest.mark.parametrize(("opened", "closed"), [(b"[", b"]"), (b'{"text":', b"}"), (b'[{"text":', b"}]")])
@pytest.mark.parametrize(
    "field", [b'"type": "tool_result", "is_error": true, "content": ', b'"type": "tool_use", "input": ']
)
def test_the_deepest_json_that_can_be_parsed_is_accepted(field: bytes, opened: bytes, closed: bytes) -> None:
    head = b'{"type": "user", "message": {"content": [{' + field

    def nested(depth: int) -> dict[str, Any]:
        return dict(parse(head + opened * depth + b"1" + closed * depth + b"}]}}"))

    deepest = bisect.bisect_left(range(100_000), key=lambda depth: not nested(depth), x=True) - 1
    assert deepest > 100
    for depth in range(deepest - 10, deepest + 1):
        check_lines(nested(depth), result("x"))


def test_a_debug_line_has_the_input_and_the_output() -> None:
    activity = ActivityLog(in_detail=True)
    events = call("Bash", command="echo a"), result("a")
    details = [line.text for event in events for line in feed(activity, event) if line.level == logging.DEBUG]
    assert details == [f"{json.dumps({'command': 'echo a'})} \u2192 a"]
