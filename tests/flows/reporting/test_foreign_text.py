"""What the agent, the model's API and a repository write reaches the Prefect server whole, and harmless."""

import logging
import re
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from deployments.local.scripted_model import ModelFault, Tool, Turn
from flows import errors
from tests.flows.reporting.test_events import announced
from tests.support.prefect_workers import flush
from tests.support.runs import Run
from tests.support.world import World

TEXTS = {
    "half of a surrogate pair": ("done \ud83d", "\ude00 first", "two \ud83d\ud83d of them"),
    "a NUL": ("done \x00", "\x00 first", "in\x00side"),
    "direction": ("done \u202egnp.exe", "\u2066isolated\u2069", "marks \u200f\u061c"),
    "escape sequences": ("done \x1b[2J", "\x1b]0;a title\x07 first", "\x1bc\x9b31m"),
    "line breaks": ("done \r| ERROR | forged", "\u2028first", "next \x85 line\x0b\x0c"),
}
ODD_NAME = "\\377\\342\\200\\256\\033[2J\\n"
"""A file's name, for printf: a byte that is not UTF-8, a bidirectional override, an escape sequence, a line break."""

UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def server_logs(run: Run, count: int) -> list[str]:
    """Return the messages that the server has of a run; wait until there are as many as were logged."""
    flush()
    query = {"logs": {"flow_run_id": {"any_": [run.id]}}, "limit": 200}
    for _ in range(100):
        logs = httpx.post(f"{run.api_url}/logs/filter", json=query).json()
        if len(logs) >= count:
            break
        time.sleep(0.1)
    return [log["message"] for log in logs]


def logged(caplog: pytest.LogCaptureFixture, run: Run) -> list[str]:
    """Return the messages that were logged for the server."""
    return [
        record.getMessage()
        for record in caplog.records
        if getattr(record, "flow_run_id", "") == run.id
        and getattr(record, "send_to_api", True)
        and record.levelno >= logging.INFO
    ]


def check_texts(value: Any) -> None:  # noqa: ANN401 (JSON)
    """Check every text in what the server returns."""
    for item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        for part in item:
            assert not isinstance(part, str) or not UNSAFE.search(part), part
            check_texts(part)


def resource(run: Run) -> dict[str, Any]:
    return dict(httpx.get(f"{run.api_url}/flow_runs/{run.id}").json())


def test_whatever_the_agent_says_the_event_the_report_and_every_log_line_arrive(
    world: World, run: Callable[..., Run], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    write = Tool("Write", {"file_path": "{cwd}/hello.txt", "content": "hello\n"})
    odd = Tool("Bash", {"command": f"echo hello > \"$(printf '{ODD_NAME}')x\""})
    texts = [text for kind in TEXTS.values() for text in kind]
    commands = [Tool("Bash", {"command": f"true # {text}"}) for text in texts]
    replies = [Turn(" ".join(kind), (write,)) for kind in TEXTS.values()]
    world.script(Turn(texts[0], (write, odd, *commands)), *replies, Turn("\n\n".join(texts)))
    done = run(branch_name="new")
    assert world.content("new", "hello.txt") == "hello"
    [event] = announced(done)
    assert event["event"] == "claude-code.run.delivered"
    assert event["payload"]["files"] == 2
    assert event["payload"]["summary"].startswith("done ?\n\n? first\n\ntwo ?? of them")
    lines = logged(caplog, done)
    assert sorted(server_logs(done, len(lines))) == sorted(lines)
    assert {"says: done ?", "says: done ? ? first two ?? of them", "says: done first inside"} <= set(lines)
    report = done.artifact()
    assert "> two ?? of them" in report
    check_texts(
        [event, lines, report, done.saved_file("report.md").read_text(), done.delivered().summary, resource(done)]
    )


def test_whatever_the_models_api_says_the_failure_is_reported(
    world: World, run: Callable[..., Run], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    text = " ".join(text for kind in TEXTS.values() for text in kind)
    world.script().faults.extend([ModelFault(400, f"refused: {text}")] * 20)
    failed = run(branch_name="new")
    assert isinstance(failed.error, errors.AgentFailed)
    [event] = announced(failed)
    assert event["event"] == "claude-code.run.failed"
    # Claude Code itself leaves half of a surrogate pair out of an error's text: a space, or the sign in its place.
    refusal = re.compile(r"refused: done [? ]")
    assert refusal.search(event["payload"]["message"])
    lines = logged(caplog, failed)
    assert sorted(server_logs(failed, len(lines))) == sorted(lines)
    server_run = resource(failed)
    assert refusal.search(server_run["state"]["message"])
    check_texts([event, lines, failed.artifact(), server_run])
