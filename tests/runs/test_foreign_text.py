"""Text from the agent, the model's API and a repository reaches the Prefect server complete and harmless."""

import logging
import re
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from deployments.local.scripted_model import ModelFault, Tool, Turn
from flows import errors
from tests.runs.test_events import end_events
from tests.support.combinations import some
from tests.support.prefect_workers import flush
from tests.support.runs import Run
from tests.support.world import World

TEXTS = {
    "half of a surrogate pair": ("done \ud83d", "\ude00 first", "two \ud83d\ud83d of them"),
    "a NUL": ("done \x00", "\x00 first", "in\x00side"),
    "direction": ("done \u202egnp.exe", "\u2066isolated\u2069", "marks \u200f\u061c"),
    "escape sequences": ("done \x1b[2J", "\x1b]0;a title\x07 first", "\x1bc\x9b31m"),
    "hidden": ("done \U000e0072\U000e006d", "\ufff9first\ufffb", "marks \u206a\u180e"),
    "noncharacters": ("done \uffff", "\ufdd0first", "two \U0001fffe of\U0010ffff them"),
    "line breaks": ("done \r| ERROR | forged", "\u2028first", "next \x85 line\x0b\x0c"),
}
ODD_NAME = "\\377\\342\\200\\256\\033[2J\\n"
"""A file name for printf: a byte that is not UTF-8, a bidirectional override, an escape sequence and a line break."""

UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff"
    r"\ufdd0-\ufdef\ufff9-\ufffb\ufffe\uffff\U0001fffe\U0010ffff\U000e0000-\U000e007f]"
)


def server_logs(run: Run, count: int) -> list[str]:
    """Return the messages that the server has for a run; wait until there are `count` of them."""
    flush()
    query = {"logs": {"flow_run_id": {"any_": [run.id]}}, "limit": 200}
    for _ in range(100):
        logs = httpx.post(f"{run.api_url}/logs/filter", json=query).json()
        if len(logs) >= count:
            break
        time.sleep(0.1)
    return [log["message"] for log in logs]


def logged_messages(caplog: pytest.LogCaptureFixture, run: Run) -> list[str]:
    """Return the messages that were logged for the server."""
    return [
        record.getMessage()
        for record in caplog.records
        if getattr(record, "flow_run_id", "") == run.id
        and getattr(record, "send_to_api", True)
        and record.levelno >= logging.INFO
    ]


def check_texts(value: Any) -> None:  # noqa: ANN401 (JSON)
    """Check that no text within a JSON value of the server has an unsafe character."""
    for item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        for part in item:
            assert not isinstance(part, str) or not UNSAFE.search(part), part
            check_texts(part)


def stored_flow_run(run: Run) -> dict[str, Any]:
    return dict(httpx.get(f"{run.api_url}/flow_runs/{run.id}").json())


def test_no_text_of_the_agent_keeps_the_event_the_report_or_a_log_line_from_the_server(
    world: World, run: Callable[..., Run], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    write = Tool("Write", {"file_path": "{cwd}/hello.txt", "content": "hello\n"})
    odd = Tool("Bash", {"command": f"echo hello > \"$(printf '{ODD_NAME}')x\""})
    texts = [text for kind in TEXTS.values() for text in kind]
    commands = [Tool("Bash", {"command": f"true # {text}"}) for text in texts]
    replies = [Turn(" ".join(kind), (write,)) for kind in TEXTS.values()]
    world.script(Turn(texts[0], (write, odd, *commands)), *replies, Turn("\n\n".join(texts)))
    delivery = run(branch_name="new")
    assert world.content("new", "hello.txt") == "hello"
    [event] = end_events(delivery)
    assert event["event"] == "claude-code.run.delivered"
    assert event["payload"]["files"] == 2
    assert event["payload"]["summary"].startswith("done ?\n\n? first\n\ntwo ?? of them")
    lines = logged_messages(caplog, delivery)
    assert sorted(server_logs(delivery, len(lines))) == sorted(lines)
    assert {"says: done ?", "says: done ? ? first two ?? of them", "says: done first inside"} <= set(lines)
    report = delivery.artifact()
    assert "> two ?? of them" in report
    saved_report, summary = delivery.saved_file("report.md").read_text(), delivery.delivered().summary
    check_texts([event, lines, report, saved_report, summary, stored_flow_run(delivery)])


def test_no_text_of_the_models_api_keeps_the_failure_from_the_server(
    world: World, run: Callable[..., Run], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    text = " ".join(text for kind in TEXTS.values() for text in kind)
    world.script().faults.extend([ModelFault(400, f"refused: {text}")] * 20)
    failed = run(branch_name="new")
    assert isinstance(failed.error, errors.AgentFailed)
    [event] = end_events(failed)
    assert event["event"] == "claude-code.run.failed"
    # Claude Code replaces half of a surrogate pair in an error's text by a space or by a replacement character.
    refusal = re.compile(r"refused: done [? ]")
    assert refusal.search(event["payload"]["message"])
    lines = logged_messages(caplog, failed)
    assert sorted(server_logs(failed, len(lines))) == sorted(lines)
    server_run = stored_flow_run(failed)
    assert refusal.search(server_run["state"]["message"])
    check_texts([event, lines, failed.artifact(), server_run])


@pytest.mark.parametrize(
    "text", some(["half \ud83d", "nul \x00"], ["tag \U000e0041", "no character \uffff", "turn \u202e"])
)
def test_an_error_without_a_name_costs_neither_the_state_nor_the_report_nor_the_event(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    def fail() -> None:
        raise LookupError(f"of a library: {text} ghp_{'e5F6' * 9}")

    monkeypatch.setattr("flows.run.lifecycle.preload", fail)
    failed = run(branch_name="new")
    assert isinstance(failed.error, errors.Unexpected)
    [event] = end_events(failed)
    assert event["payload"]["error"] == "Unexpected"
    assert event["payload"]["message"].startswith("LookupError: of a library: ")
    server_run = stored_flow_run(failed)
    assert "LookupError: of a library: " in server_run["state"]["message"]
    report = failed.artifact()
    assert "ghp_" not in f"{event} {server_run} {report}"
    check_texts([event, server_run, report])


@pytest.mark.parametrize("text", some(["a\U000e0041b", "a\ufffeb"], ["a\u180eb", "a\u206ab", "a\ufff9b"]))
def test_no_branch_name_costs_the_tags_the_artifacts_or_the_event(run: Callable[..., Run], text: str) -> None:
    finished = run(branch_name=text)
    [event] = end_events(finished)
    server_run = stored_flow_run(finished)
    assert {tag.partition(":")[0] for tag in server_run["tags"]} >= {"outcome"}
    check_texts([event, server_run["tags"], server_run["name"], server_run["state"]["message"], finished.artifact()])


@pytest.mark.parametrize(
    "content", some([b"{", b'{"spent_usd": null}'], [b"[]", b'{"spent_usd": "\xff"}', b'{"replies": 1e400}'])
)
def test_no_saved_usage_costs_the_event(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr("flows.reporting.events.RunStore.read", lambda _store, _name: content)
    [event] = end_events(run(branch_name="not a branch"))
    assert event["payload"]["error"] == "InvalidBranchName"
    assert event["payload"]["cost_usd"] == 0


def test_an_event_that_would_be_too_large_is_shortened(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise errors.GitFailed("x" * 3_000_000)

    monkeypatch.setattr("flows.run.lifecycle.preload", fail)
    [event] = end_events(run(branch_name="new"))
    assert event["payload"]["error"] == "GitFailed"
    assert len(event["payload"]["message"]) == 20_000
