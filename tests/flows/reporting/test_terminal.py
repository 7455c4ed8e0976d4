"""`python -m flows` as a person sees it at a terminal, and as a machine reads it."""

import json
import re
import time
from pathlib import Path

from tests.support.flows_command import last_line, start
from tests.support.terminals import terminal
from tests.support.world import World

ALONE = {"PREFECT_API_URL": ""}


def given(world: World) -> dict[str, str]:
    return {"PROCESS_REQUIREMENTS": "true", "REPO_URL": world.repo_url, "INSTRUCTIONS": "Greet"}


def test_a_terminal_shows_a_row_for_each_step_and_what_the_agent_does_now(world: World) -> None:
    world.shell("sleep 1; echo hello > hello.txt")
    with terminal("-m", "flows", variables=given(world)) as person:
        assert person.end() == 0
    for step in ("secret", "clone", "instructions", "claude", "push"):
        assert re.search(rf"^✓ {step} +\d+\.\d s", person.screen(), re.MULTILINE), person.screen()
    assert "runs sleep 1; echo hello" in person.seen
    assert "| INFO" not in person.seen
    assert "completed: branch feature/" in person.seen
    assert person.seen.count("\x1b[?25l") == person.seen.count("\x1b[?25h"), "the cursor is given back"


def test_ctrl_c_ends_the_agent_keeps_its_work_and_says_so(world: World) -> None:
    world.shell("echo half > half.txt; sleep 300")
    with terminal("-m", "flows", variables=given(world)) as person:
        person.wait_for("runs echo half")
        time.sleep(1)  # it is shown as it begins
        person.press(b"\x03")
        person.wait_for("interrupted: ending the agent")
        person.press(b"\x03")
        assert person.end() == 130
    assert "Traceback" not in person.seen
    found = re.search(r"what it had changed, if anything, is in (\S+?):", person.seen)
    assert found
    assert (Path(found[1]) / "change.bundle").exists()


def test_a_step_that_failed_is_marked_and_the_reason_is_the_last_line(world: World) -> None:
    world.stack.git.faults.clear()
    with terminal("-m", "flows", variables={**given(world), "BASE_BRANCH": "none"}) as person:
        assert person.end() == 1
    assert re.search(r"^✓ secret ", person.screen(), re.MULTILINE)
    assert re.search(r"^✗ clone ", person.screen(), re.MULTILINE)
    assert last_line(person.screen()).startswith("BaseRefNotFound: ")
    assert "Traceback" not in person.seen


def test_json_is_all_that_standard_output_has(world: World) -> None:
    done = start(given(world), options=("--json",))
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    commit = world.git("rev-parse", outcome["branch"])
    assert (outcome["outcome"], outcome["commit"], outcome["files"]) == ("delivered", commit, ["hello.txt"])
    assert outcome["turns"] == 2
    assert outcome["cost_usd"] > 0
    assert outcome["error"] is None
    assert len(outcome["flow_run_id"]) == 36
    assert (Path(outcome["saved_in"]) / "report.md").exists()


def test_json_names_an_error_and_where_the_run_is_kept(world: World) -> None:
    world.shell("mkdir .circleci; echo x > .circleci/config.yml")
    done = start(given(world), options=("--json",))
    outcome = json.loads(done.stdout)
    assert (done.returncode, outcome["outcome"], outcome["error"]["name"]) == (1, "failed", "CiFilesChanged")
    assert "ALLOW_CI_CHANGES" in outcome["error"]["message"]
    assert (Path(outcome["saved_in"]) / "change.bundle").exists()


def test_json_of_what_cannot_start_has_the_same_fields(world: World) -> None:
    done = start({**given(world), "REPO_URL": ""}, options=("--json",))
    outcome = json.loads(done.stdout)
    assert (done.returncode, outcome["outcome"], outcome["error"]["name"]) == (2, "invalid", "InvalidVariable")
    idle = start({"PROCESS_REQUIREMENTS": ""}, options=("--json",))
    assert (idle.returncode, json.loads(idle.stdout).keys()) == (2, outcome.keys())


def test_help_says_what_each_exit_status_means() -> None:
    done = start({}, options=("--help",))
    assert done.returncode == 0
    for status in ("0", "1", "2", "130"):
        assert re.search(rf"^  {status} ", done.stdout, re.MULTILINE)


def test_ctrl_c_spares_the_prefect_server_that_the_run_started_for_itself(world: World) -> None:
    world.shell("echo half > half.txt; sleep 300")
    with terminal("-m", "flows", variables={**given(world), **ALONE}) as person:
        person.wait_for("runs echo half", 120)
        person.press(b"\x03")
        assert person.end() == 130
    assert "what it had changed, if anything, is in" in person.seen.splitlines()[-1]
    assert "Traceback" not in person.seen
    assert "Connect" not in person.seen
