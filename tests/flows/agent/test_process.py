"""The agent's process: real processes that end well, stall, linger, hold their output open, or say too much."""

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
    """Runs Python code in the place of Claude Code."""

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


def test_it_gets_the_prompt_the_directory_and_the_environment_and_nothing_else(agent: Agent) -> None:
    code = """import json
print(json.dumps({"type": "assistant", "in": sys.stdin.read(), "cwd": os.getcwd(), "env": sorted(os.environ)}))"""
    agent.run(code)
    [event] = agent.transcript()
    assert event["in"] == "the prompt"
    assert event["cwd"] == str(agent.folder)
    assert set(event["env"]) <= {"ONLY", "LC_CTYPE"}


def test_it_is_in_a_session_of_its_own(agent: Agent) -> None:
    agent.run("import json; print(json.dumps({'type': 'x', 'alone': os.getsid(0) == os.getpid()}))")
    assert agent.transcript()[0]["alone"] is True


def test_the_last_result_counts(agent: Agent) -> None:
    run = agent.run(f"print('''{RESULT}'''); print('''{RESULT[:-1]}, \"result\": \"second\"}}''')")
    assert run.result
    assert run.result.text == "second"
    assert run.exit_status == 0


def test_whether_the_model_spoke_is_known(agent: Agent) -> None:
    assert not agent.run(f"print('''{RESULT}''')").spoke
    assert agent.run('print(\'{"type": "assistant"}\')').spoke


def test_a_process_that_never_exits_after_its_result_is_ended_and_its_result_used(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.agent.process._GRACE_SECONDS", 1)
    started = time.monotonic()
    run = agent.run(f"print('''{RESULT}''', flush=True); time.sleep(100)")
    assert run.result
    assert run.result.subtype == "success"
    assert run.ended_for == ""
    assert time.monotonic() - started < 20


def test_output_that_a_child_holds_open_does_not_keep_the_run_waiting(agent: Agent) -> None:
    started = time.monotonic()
    child = (
        "import subprocess; subprocess.Popen(['sleep', '60'], start_new_session=True, env={'PATH': '/usr/bin:/bin'})"
    )
    run = agent.run(f"{child}; print('''{RESULT}''', flush=True)")
    assert run.result
    assert run.result.subtype == "success"
    assert run.exit_status == 0
    assert time.monotonic() - started < 30


def test_silence_ends_it(agent: Agent) -> None:
    run = agent.run('print(\'{"type": "x"}\', flush=True); time.sleep(100)', stall_timeout_seconds=1)
    assert run.ended_for == "stall"
    assert run.exit_status is None


def test_it_is_told_to_end_before_it_is_killed_so_that_it_can_write_down_where_it_was(agent: Agent) -> None:
    code = """
import signal

def end(*_):
    open("written-down", "w").close()
    time.sleep(100)

signal.signal(signal.SIGTERM, end)
print('{"type": "x"}', flush=True)
time.sleep(100)"""
    assert agent.run(code, stall_timeout_seconds=1).ended_for == "stall"
    assert (agent.folder / "written-down").exists()


def test_the_deadline_ends_it_however_much_it_says(agent: Agent) -> None:
    run = agent.run(
        'while True:\n print(\'{"type": "x"}\', flush=True); time.sleep(.05)',
        agent_timeout_seconds=1,
        stall_timeout_seconds=60,
    )
    assert run.ended_for == "timeout"
    assert len(agent.events) > 5


def test_what_it_says_on_stderr_is_kept_to_its_end(agent: Agent) -> None:
    run = agent.run("sys.stderr.write('x' * 10000 + 'the end'); sys.exit(3)")
    assert run.stderr.endswith("the end")
    assert len(run.stderr) <= 4000
    assert run.exit_status == 3
    assert run.result is None


def test_the_transcript_holds_every_byte_and_odd_lines_are_passed_over(agent: Agent) -> None:
    odd = b'{"type": "x"}\nnot json\n\xff\xfe\n[1]\n{"type": "result"}'
    run = agent.run(f"sys.stdout.buffer.write({odd!r})")
    assert (agent.folder / "transcript.jsonl").read_bytes() == odd
    assert [type(event) for event in agent.events] == [Unknown, Result]
    assert run.result == Result()


def test_twenty_megabytes_of_events_come_through(agent: Agent) -> None:
    line = json.dumps({"type": "user", "message": {"content": "y" * 100_000}})
    agent.run(f"for _ in range(200): print('''{line}''')")
    assert len(agent.events) == 200
