"""The output of `python -m flows` at a terminal, and as JSON for a program."""

import json
import re
import time
from pathlib import Path

from deployments.local.scripted_model import Tool, Turn
from tests.support.flows_command import last_line, start
from tests.support.terminals import terminal
from tests.support.world import World

WITHOUT_SERVER = {"PREFECT_API_URL": ""}


def variables_for(world: World) -> dict[str, str]:
    return {"PROCESS_REQUIREMENTS": "true", "REPO_URL": world.repo_url, "INSTRUCTIONS": "Greet"}


def test_a_terminal_shows_a_row_for_each_step_and_the_current_activity(world: World) -> None:
    world.shell("sleep 1; echo hello > hello.txt")
    with terminal("-m", "flows", variables=variables_for(world)) as person:
        assert person.wait_for_exit() == 0
    for step in ("secret", "clone", "instructions", "claude", "push"):
        assert re.search(rf"^✓ {step} +\d+\.\d s", person.screen(), re.MULTILINE), person.screen()
    assert "runs sleep 1; echo hello" in person.seen
    assert "| INFO" not in person.seen
    assert "completed: branch feature/" in person.seen
    assert person.seen.count("\x1b[?25l") == person.seen.count("\x1b[?25h"), "the cursor is visible again"


def test_ctrl_c_ends_the_agent_and_the_last_message_says_where_its_work_is_saved(world: World) -> None:
    world.shell("echo half > half.txt; sleep 300")
    with terminal("-m", "flows", variables=variables_for(world)) as person:
        person.wait_for("runs echo half")
        time.sleep(1)  # the command is shown when it starts: let it write the file
        person.press(b"\x03")
        person.wait_for("interrupted: ending the agent")
        person.press(b"\x03")
        assert person.wait_for_exit() == 130
    assert "Traceback" not in person.seen
    location = re.search(r"Its changes, if any, are saved in (\S+?):", person.seen)
    assert location
    assert (Path(location[1]) / "change.bundle").exists()


def test_a_failed_step_is_marked_and_the_error_is_the_last_line(world: World) -> None:
    world.stack.git.faults.clear()
    with terminal("-m", "flows", variables={**variables_for(world), "BASE_BRANCH": "none"}) as person:
        assert person.wait_for_exit() == 1
    assert re.search(r"^✓ secret ", person.screen(), re.MULTILINE)
    assert re.search(r"^✗ clone ", person.screen(), re.MULTILINE)
    assert last_line(person.screen()).startswith("BaseRefNotFound: ")
    assert "Traceback" not in person.seen


def test_a_verification_that_fails_is_marked_and_says_which_command(world: World) -> None:
    world.shell("echo bye > hello.txt")
    verification = {"VERIFY_COMMANDS": "true\n! grep bye hello.txt", "MAX_REPAIRS": "0", "INSTRUCTIONS": "Greet"}
    with terminal("-m", "flows", variables={**variables_for(world), **verification}) as person:
        assert person.wait_for_exit() == 1
    row = r"^✗ verify +\d+\.\d s +verification failed: '! grep bye hello.txt' failed"
    assert re.search(row, person.screen(), re.MULTILINE), person.screen()
    assert not re.search(r"^✓ verify", person.screen(), re.MULTILINE)
    assert re.search(r"^VerificationFailed: the change does not pass", person.screen(), re.MULTILINE)
    assert person.seen.rindex("The last lines of the output:") < person.seen.rindex("VerificationFailed: ")


def test_the_json_of_a_run_that_needs_input_has_its_questions_and_its_cost(world: World) -> None:
    question = {"status": "needs_input", "summary": "I did half.", "questions": ["Tabs or spaces?"]}
    write = Tool("Write", {"file_path": "{cwd}/half.txt", "content": "half\n"})
    world.script(Turn("I write.", (write,)), Turn("I stop.", answer=question))
    process = start(variables_for(world), options=("--json",))
    assert process.returncode == 1
    result = json.loads(process.stdout)
    assert (result["outcome"], result["error"]["name"]) == ("needs-input", "NeedsInput")
    assert (result["questions"], result["summary"], result["turns"]) == (["Tabs or spaces?"], "I did half.", 2)
    assert result["cost_usd"] > 0
    assert (result["branch"], result["commit"], result["files"]) == ("", "", []), "nothing is pushed"
    assert last_line(process.stderr).startswith(
        "NeedsInput: the agent needs answers to go on: Tabs or spaces? Start a new run with the answers in its "
    )


def test_standard_output_has_only_the_json(world: World) -> None:
    process = start(variables_for(world), options=("--json",))
    assert process.returncode == 0, process.stderr
    result = json.loads(process.stdout)
    commit = world.git("rev-parse", result["branch"])
    assert (result["outcome"], result["commit"], result["files"]) == ("delivered", commit, ["hello.txt"])
    assert result["turns"] == 2
    assert result["cost_usd"] > 0
    assert result["error"] is None
    assert len(result["flow_run_id"]) == 36
    assert (Path(result["saved_in"]) / "report.md").exists()


def test_the_json_of_a_failure_has_the_error_and_the_folder_of_the_saved_files(world: World) -> None:
    world.shell("mkdir .circleci; echo x > .circleci/config.yml")
    process = start(variables_for(world), options=("--json",))
    result = json.loads(process.stdout)
    assert (process.returncode, result["outcome"], result["error"]["name"]) == (1, "failed", "CiFilesChanged")
    assert "ALLOW_CI_CHANGES" in result["error"]["message"]
    assert (Path(result["saved_in"]) / "change.bundle").exists()


def test_the_json_of_a_run_that_cannot_start_has_the_same_fields(world: World) -> None:
    process = start({**variables_for(world), "REPO_URL": ""}, options=("--json",))
    result = json.loads(process.stdout)
    assert (process.returncode, result["outcome"], result["error"]["name"]) == (2, "invalid", "InvalidVariable")
    idle = start({"PROCESS_REQUIREMENTS": ""}, options=("--json",))
    assert (idle.returncode, json.loads(idle.stdout).keys()) == (2, result.keys())


def test_the_help_explains_each_exit_status() -> None:
    process = start({}, options=("--help",))
    assert process.returncode == 0
    for status in ("0", "1", "2", "130"):
        assert re.search(rf"^  {status} ", process.stdout, re.MULTILINE)


def test_ctrl_c_does_not_stop_the_runs_own_prefect_server_too_early(world: World) -> None:
    world.shell("echo half > half.txt; sleep 300")
    with terminal("-m", "flows", variables={**variables_for(world), **WITHOUT_SERVER}) as person:
        person.wait_for("runs echo half", 120)
        person.press(b"\x03")
        assert person.wait_for_exit() == 130
    assert "Its changes, if any, are saved in" in person.seen.splitlines()[-1]
    assert "Traceback" not in person.seen
    assert "Connect" not in person.seen
