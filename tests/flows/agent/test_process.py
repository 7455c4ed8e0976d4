"""The agent's process: real processes that succeed, stall, linger, hold their output open, or write too much."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from flows.agent.event_types import Event, Result, Unknown
from flows.agent.outcome import AgentRun
from flows.agent.process import run_agent
from flows.parameters.limits import Limits

RESULT = '{"type": "result", "subtype": "success"}'


@pytest.fixture
def agent(tmp_path: Path) -> "Agent":
    return Agent(tmp_path)


class Agent:
    """Runs Python code instead of Claude Code."""

    def __init__(self, tmp_path: Path) -> None:
        self.folder = tmp_path
        self.events: list[Event] = []

    def run(self, code: str, **limits: int) -> AgentRun:
        prompt = self.folder / "prompt.md"
        prompt.write_text("the prompt")
        return run_agent(
            [sys.executable, "-c", f"import os, sys, time\n{code}"],
            environment={"ONLY": "this"},
            cwd=self.folder,
            prompt=prompt,
            transcript=self.folder / "transcript.jsonl",
            limits=Limits(**limits),
            on_event=self.events.append,
        )

    def transcript(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "transcript.jsonl").read_text().splitlines()]


def test_the_process_gets_only_the_prompt_the_directory_and_the_environment(agent: Agent) -> None:
    code = """import json
print(json.dumps({"type": "assistant", "in": sys.stdin.read(), "cwd": os.getcwd(), "env": sorted(os.environ)}))"""
    agent.run(code)
    [event] = agent.transcript()
    assert event["in"] == "the prompt"
    assert event["cwd"] == str(agent.folder)
    assert set(event["env"]) <= {"ONLY", "LC_CTYPE"}


def test_the_process_has_its_own_session(agent: Agent) -> None:
    agent.run("import json; print(json.dumps({'type': 'x', 'alone': os.getsid(0) == os.getpid()}))")
    assert agent.transcript()[0]["alone"] is True


def test_the_last_result_counts(agent: Agent) -> None:
    run = agent.run(f"print('''{RESULT}'''); print('''{RESULT[:-1]}, \"result\": \"second\"}}''')")
    assert run.result
    assert run.result.text == "second"
    assert run.exit_status == 0


def test_the_run_records_whether_the_model_replied(agent: Agent) -> None:
    assert not agent.run(f"print('''{RESULT}''')").model_replied
    assert agent.run('print(\'{"type": "assistant"}\')').model_replied


def test_a_process_that_does_not_exit_after_its_result_is_ended_and_the_result_counts(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.agent.process._GRACE_SECONDS", 1)
    started = time.monotonic()
    run = agent.run(f"print('''{RESULT}''', flush=True); time.sleep(100)")
    assert run.result
    assert run.result.subtype == "success"
    assert run.end_reason == ""
    assert time.monotonic() - started < 20


def test_a_child_that_holds_the_output_open_does_not_delay_the_run(agent: Agent) -> None:
    started = time.monotonic()
    child = (
        "import subprocess; subprocess.Popen(['sleep', '60'], start_new_session=True, env={'PATH': '/usr/bin:/bin'})"
    )
    run = agent.run(f"{child}; print('''{RESULT}''', flush=True)")
    assert run.result
    assert run.result.subtype == "success"
    assert run.exit_status == 0
    assert time.monotonic() - started < 30


def test_a_silent_process_is_ended(agent: Agent) -> None:
    run = agent.run('print(\'{"type": "x"}\', flush=True); time.sleep(100)', stall_timeout_seconds=1)
    assert run.end_reason == "stall"
    assert run.exit_status is None


RUNS_A_COMMAND = json.dumps(
    {"type": "assistant", "message": {"content": [{"type": "tool_use", "id": "t", "name": "Bash", "input": {}}]}}
)
COMMAND_ENDED = json.dumps(
    {"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]}}
)


def silent_after(*lines: str, seconds: float) -> str:
    """Return code that prints the lines, is then silent for some time, and at last prints a result."""
    prints = "".join(f"print({line!r}, flush=True)\n" for line in lines)
    return f"{prints}time.sleep({seconds})\nprint({RESULT!r}, flush=True)"


@pytest.mark.parametrize("command_timeout_seconds", [0, 1])
def test_a_process_that_runs_a_command_may_be_silent(agent: Agent, command_timeout_seconds: int) -> None:
    code = silent_after(RUNS_A_COMMAND, seconds=4)
    run = agent.run(code, stall_timeout_seconds=1, command_timeout_seconds=command_timeout_seconds)
    assert (run.end_reason, run.exit_status) == ("", 0)


@pytest.mark.parametrize(
    ("lines", "grace_seconds"),
    [((RUNS_A_COMMAND, COMMAND_ENDED), 60), ((RUNS_A_COMMAND.replace("Bash", "Read"),), 60), ((RUNS_A_COMMAND,), 1)],
    ids=["after the command", "in another tool", "after the command's time"],
)
def test_a_process_that_is_silent_for_another_reason_is_ended(
    agent: Agent, monkeypatch: pytest.MonkeyPatch, lines: tuple[str, ...], grace_seconds: int
) -> None:
    monkeypatch.setattr("flows.agent.process._COMMAND_GRACE_SECONDS", grace_seconds)
    run = agent.run(silent_after(*lines, seconds=100), stall_timeout_seconds=1, command_timeout_seconds=1)
    assert run.end_reason == "stall"


def test_the_process_gets_sigterm_before_sigkill_so_that_it_can_save_its_state(agent: Agent) -> None:
    code = """
import signal

def end(*_):
    open("saved-state", "w").close()
    time.sleep(100)

signal.signal(signal.SIGTERM, end)
print('{"type": "x"}', flush=True)
time.sleep(100)"""
    assert agent.run(code, stall_timeout_seconds=1).end_reason == "stall"
    assert (agent.folder / "saved-state").exists()


def test_a_talkative_process_is_ended_at_the_deadline(agent: Agent) -> None:
    run = agent.run(
        'while True:\n print(\'{"type": "x"}\', flush=True); time.sleep(.05)',
        agent_timeout_seconds=1,
        stall_timeout_seconds=60,
    )
    assert run.end_reason == "timeout"
    assert len(agent.events) > 5


def test_the_tail_of_stderr_is_returned(agent: Agent) -> None:
    run = agent.run("sys.stderr.write('x' * 10000 + 'the end'); sys.exit(3)")
    assert run.stderr.endswith("the end")
    assert len(run.stderr) <= 4000
    assert run.exit_status == 3
    assert run.result is None


def test_the_transcript_holds_every_byte_and_malformed_lines_are_skipped(agent: Agent) -> None:
    output = b'{"type": "x"}\nnot json\n\xff\xfe\n[1]\n{"type": "result"}'
    run = agent.run(f"sys.stdout.buffer.write({output!r})")
    assert (agent.folder / "transcript.jsonl").read_bytes() == output
    assert [type(event) for event in agent.events] == [Unknown, Result]
    assert run.result == Result()


def test_twenty_megabytes_of_events_are_received(agent: Agent) -> None:
    line = json.dumps({"type": "user", "message": {"content": "y" * 100_000}})
    agent.run(f"for _ in range(200): print('''{line}''')")
    assert len(agent.events) == 200
