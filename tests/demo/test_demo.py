"""`make demo` from start to end, as a process: the output that a new user sees."""

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

PROJECT = Path(__file__).parents[2]
STEPS = ("secret", "clone", "instructions", "claude", "verify", "claude repair 1", "verify 2", "push", "pull_request")
ONCE = ("claude repair 1", "verify 2", "review", "reply")
"""The steps of one of the two runs. The others are in both."""

pytestmark = pytest.mark.timeout(400)  # the demo has two runs, and starts all servers


def demo(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return run([sys.executable, "-m", "deployments.local.demo", *arguments])


def make_demo(*variables: str) -> "subprocess.CompletedProcess[str]":
    """Run `make demo` with the programs of this Python environment, without creating another environment."""
    options = ["--silent", "--old-file=.venv/ready", f"BIN={Path(sys.executable).parent}"]
    return run(["make", *options, "demo", *variables])


def run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    prefixes = ("PREFECT_", "AWS_", "ANTHROPIC_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    return subprocess.run(
        command,
        env=environment,
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_shows_branch_diff_report_and_times_and_prints_the_outcome_as_json() -> None:
    process = make_demo("JSON=1", "KEEP=1")
    output = process.stderr
    assert process.returncode == 0, output
    outcome = json.loads(process.stdout)
    assert set(outcome) == {*RunResult(Outcome.DELIVERED).as_json(), "seconds", "steps"}
    assert outcome["outcome"] == "delivered"
    assert outcome["cost_usd"] > 0
    assert outcome["error"] is None
    assert outcome["files"] == ["tests/test_api.py", "todo/api.py"]
    assert len(outcome["commit"]) == 40
    verification = outcome["verification"]
    assert (verification["status"], verification["repairs"]) == ("verified", 1)
    assert [command["verdict"] for command in verification["commands"]] == ["passed", "passed"]
    assert set(outcome["steps"]) == set(STEPS)
    assert outcome["branch"] in output
    assert re.fullmatch(r"feature/claude-implementation-\S+", outcome["branch"])
    assert "runs python3 -B -m unittest" in output
    assert "+def create_todo(store: Store, title: str)" in output
    assert "main.md" in output
    assert "no test calls delete_todo" in output, "the first verification failed"
    assert "+    def test_delete(self):" in output
    for step in {*STEPS, *ONCE}:
        times = 1 if step in ONCE else 2
        assert len(re.findall(rf"{step}\s+│ Completed", output)) == times, step
        assert len(re.findall(rf"^✓ {step} +\d+\.\d s", output, re.MULTILINE)) == times, step
    assert len(re.findall(r"whole run\s+│ Completed", output)) == 2
    assert outcome["pull_request"]["url"].endswith("/demo/todo/pulls/1")
    assert "Pull request 1 into main" in output
    pull_request, _, follow_up = output.partition("Pull request 1 into main")[2].partition(
        "ada comments on todo/api.py"
    )
    assert "Implement the three operations of the todo API" in pull_request
    assert "python3 -m unittest: passed, exit status 0" in pull_request
    assert "the agent continues the session of the run" in follow_up
    assert "-    return 201, asdict(store.add(title))" in follow_up
    assert "+    return 201, asdict(store.add(title.strip()))" in follow_up
    asked, _, answered = follow_up.partition("ada on todo/api.py:17")[2].partition("claude on todo/api.py:17")
    assert "Strip the title before it is stored, please." in asked
    [commit] = re.findall(r"In commit ([0-9a-f]{40})\.", answered)
    assert commit != outcome["commit"]
    assert f"Pushed commit {commit}, verified." in answered
    assert "1 comment heard, 1 of 1 thread answered, 0 not heard" in answered
    assert re.search(r"Turns, cost, time +\d+, \$0\.\d+", answered)
    assert "there is no terminal to press Enter in" in output
    assert "\x1b" not in output
    assert "Traceback" not in output


def test_it_works_on_a_repository_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "own-project").mkdir()
    git = ["git", "-C", str(tmp_path / "own-project"), "-c", "user.name=x", "-c", "user.email=x@x"]
    (tmp_path / "own-project" / "some.txt").write_text("1\n2\n")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "own-project"]):
        subprocess.run([*git, *arguments], check=True)
    process = demo("--repo", str(tmp_path / "own-project"))
    assert process.returncode == 0, process.stdout + process.stderr
    assert "+1 files, 2 lines." in process.stdout
    assert "ada comments on CODE_OVERVIEW.md:3" in process.stdout
    assert re.search(r"^\+The last commit is of 20\d\d-", process.stdout, re.MULTILINE)
    assert "✓ claude" in process.stdout
    last = process.stdout.rpartition("whole run")[2]
    assert "make demo KEEP=1 keeps them running" in last
    assert "http://" not in last, "the server at this address has stopped"
    assert subprocess.run([*git, "branch"], check=True, capture_output=True, text=True).stdout.count("\n") == 1


def test_with_keep_the_user_can_start_runs_whose_instructions_the_scripted_model_does_not_know() -> None:
    with terminal("-m", "deployments.local.demo", "--keep", variables={"COLUMNS": "200"}) as person:
        person.wait_for("Press Enter to stop the servers", 300)
        (api, flow_run_id), *_ = re.findall(r"(http://127.0.0.1:\d+)/runs/flow-run/([0-9a-f-]{36})", person.seen)
        with httpx.Client(base_url=f"{api}/api", trust_env=False, timeout=60) as prefect:
            first = prefect.get(f"/flow_runs/{flow_run_id}").json()
            parameters = {
                "repo_url": first["parameters"]["repo_url"],
                "instructions": 'Write "it\'s done" into done.txt. The working directory is "the top".',
            }
            deployment = f"/deployments/{first['deployment_id']}/create_flow_run"
            for _ in range(20):  # SQLite may be busy for a moment with the end of the first run
                response = prefect.post(deployment, json={"parameters": parameters, "state": {"type": "SCHEDULED"}})
                if response.is_success:
                    break
                time.sleep(0.5)
            assert response.is_success, response.text
            run_id = response.json()["id"]
            deadline = time.monotonic() + 90
            while (state := prefect.get(f"/flow_runs/{run_id}").json()["state"])["type"] not in {"COMPLETED", "FAILED"}:
                assert time.monotonic() < deadline, state
                time.sleep(0.2)
            filters = {"flow_runs": {"id": {"any_": [run_id]}}}
            artifacts = prefect.post("/artifacts/filter", json=filters).json()
        assert state["name"] == "Completed", state
        [report] = [artifact["data"] for artifact in artifacts if (artifact["key"] or "").endswith("-report")]
        assert "SCRIPTED_MODEL.md" in report
        assert "I did not follow these instructions" in report
        person.press(b"\r")
        assert person.wait_for_exit() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--repo", "/nonexistent"), "cannot be cloned"), (("--model", "real"), "needs ANTHROPIC_API_KEY")],
)
def test_a_wrong_option_gives_a_message_without_a_traceback(arguments: tuple[str, ...], message: str) -> None:
    process = demo(*arguments)
    assert process.returncode == 1
    assert message in process.stdout
    assert "stack" not in process.stdout, "nothing was started"
    assert "Traceback" not in process.stdout + process.stderr


def test_a_terminal_shows_rows_and_ctrl_c_stops_everything() -> None:
    with terminal("-m", "deployments.local.demo", variables={}) as person:
        person.wait_for("claude      ", 120)  # its row
        children = psutil.Process(person.pid).children(recursive=True)
        person.press(b"\x03")
        assert person.wait_for_exit() == 130
    assert re.search(r"^✓ clone +\d+\.\d s", person.screen(), re.MULTILINE), person.screen()
    assert "interrupted: the agent and all servers were stopped" in person.screen()
    assert "Traceback" not in person.seen
    assert not [process for process in children if process.is_running()]
