"""`make demo`, whole, as a process: what a newcomer sees."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from flows.outcome.result import Outcome, RunResult
from tests.support.terminals import terminal

PROJECT = Path(__file__).parents[3]


def demo(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    ours = ("PREFECT_", "AWS_", "ANTHROPIC_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(
        [sys.executable, "-m", "deployments.local.demo", *arguments],
        env={**environment, **variables},
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_shows_the_branch_the_diff_the_report_and_the_times_and_prints_the_outcome_for_machines() -> None:
    done = demo("--json", "--keep")
    shown = done.stderr
    assert done.returncode == 0, shown
    outcome = json.loads(done.stdout)
    assert set(outcome) == {*RunResult(Outcome.DELIVERED).as_json(), "seconds", "steps"}
    assert outcome["outcome"] == "delivered"
    assert outcome["cost_usd"] > 0
    assert outcome["error"] is None
    assert outcome["files"] == ["tests/test_api.py", "todo/api.py"]
    assert len(outcome["commit"]) == 40
    assert set(outcome["steps"]) == {"secret", "clone", "instructions", "claude", "push"}
    assert outcome["branch"] in shown
    assert re.fullmatch(r"feature/claude-implementation-\S+", outcome["branch"])
    assert "runs python3 -B -m unittest" in shown
    assert "+def create_todo(store: Store, title: str)" in shown
    assert "main.md" in shown
    for step in ("secret", "clone", "instructions", "claude", "push", "whole run"):
        assert re.search(rf"{step}\s+│ Completed", shown), step
        assert step == "whole run" or len(re.findall(rf"^✓ {step} +\d+\.\d s", shown, re.MULTILINE)) == 1, step
    assert "there is no terminal for Enter" in shown
    assert "\x1b" not in shown
    assert "Traceback" not in shown


def test_it_works_on_a_repository_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    git = ["git", "-C", str(tmp_path / "mine"), "-c", "user.name=x", "-c", "user.email=x@x"]
    (tmp_path / "mine" / "some.txt").write_text("1\n2\n")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "mine"]):
        subprocess.run([*git, *arguments], check=True)
    done = demo("--repo", str(tmp_path / "mine"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "+1 files, 2 lines." in done.stdout
    assert "✓ claude" in done.stdout
    last = done.stdout.rpartition("whole run")[2]
    assert "make demo KEEP=1 leaves them up" in last
    assert "http://" not in last, "an address that no longer answers"
    assert subprocess.run([*git, "branch"], check=True, capture_output=True, text=True).stdout.count("\n") == 1


def test_it_stays_up_for_runs_of_ones_own_whose_instructions_the_scripted_model_does_not_know() -> None:
    with terminal("-m", "deployments.local.demo", "--keep", variables={"COLUMNS": "200"}) as person:
        person.wait_for("Enter ends the servers", 180)
        [(api, flow_run_id)] = set(re.findall(r"(http://127.0.0.1:\d+)/runs/flow-run/([0-9a-f-]{36})", person.seen))
        with httpx.Client(base_url=f"{api}/api", trust_env=False, timeout=60) as prefect:
            first = prefect.get(f"/flow_runs/{flow_run_id}").json()
            parameters = {
                "repo_url": first["parameters"]["repo_url"],
                "instructions": 'Write "it\'s done" into done.txt. The working directory is "the top".',
            }
            deployment = f"/deployments/{first['deployment_id']}/create_flow_run"
            own = prefect.post(deployment, json={"parameters": parameters, "state": {"type": "SCHEDULED"}}).json()["id"]
            deadline = time.monotonic() + 90
            while (state := prefect.get(f"/flow_runs/{own}").json()["state"])["type"] not in {"COMPLETED", "FAILED"}:
                assert time.monotonic() < deadline, state
                time.sleep(0.2)
            filters = {"flow_runs": {"id": {"any_": [own]}}}
            artifacts = prefect.post("/artifacts/filter", json=filters).json()
        assert state["name"] == "Completed", state
        [report] = [artifact["data"] for artifact in artifacts if (artifact["key"] or "").endswith("-report")]
        assert "SCRIPTED_MODEL.md" in report
        assert "I did not do what these instructions ask for" in report
        person.press(b"\r")
        assert person.end() == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--repo", "/nonexistent"), "cannot be cloned"), (("--model", "real"), "needs ANTHROPIC_API_KEY")],
)
def test_what_it_cannot_do_is_said_without_a_traceback(arguments: tuple[str, ...], said: str) -> None:
    done = demo(*arguments)
    assert done.returncode == 1
    assert said in done.stdout
    assert "stack" not in done.stdout  # it is found out before anything is started
    assert "Traceback" not in done.stdout + done.stderr


def test_a_terminal_shows_rows_and_ctrl_c_ends_everything() -> None:
    with terminal("-m", "deployments.local.demo", variables={}) as person:
        person.wait_for("claude      ", 120)  # its row
        mine = psutil.Process(person.pid).children(recursive=True)
        person.press(b"\x03")
        assert person.end() == 130
    assert re.search(r"^✓ clone +\d+\.\d s", person.screen(), re.MULTILINE), person.screen()
    assert "interrupted: the agent, and all else that was started, was ended" in person.screen()
    assert "Traceback" not in person.seen
    assert not [process for process in mine if process.is_running()]
