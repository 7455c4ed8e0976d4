"""Verification in whole runs: its verdicts, repairs by the same session, and what becomes of a change that fails."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from deployments.local.scripted_model import Tool, Turn
from flows import errors
from flows.deliver import deliver
from flows.outcome.result import RunResult
from tests.support.flows_command import PROJECT, start
from tests.support.runs import Run, run_flow
from tests.support.world import World

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

COMMAND = "sh check.sh"
CHECK = """\
if ! [ -e hello.txt ]; then echo nothing to check; exit 0; fi
if ! grep -qx hello hello.txt; then echo 'FAILED check_says_hello'; echo "the end: $(cat hello.txt)"; exit 1; fi
"""


@pytest.fixture
def checked_world(make_world: Callable[[dict[str, str]], World]) -> World:
    return make_world({"README.md": "# A repository\n", "check.sh": CHECK})


def shell(command: str, *needs: str) -> Turn:
    return Turn("I work.", (Tool("Bash", {"command": command}),), needs=needs)


def verified(world: World, commands: str = COMMAND, **parameters: object) -> Run:
    verification = {"verify_commands": commands, **parameters}
    return run_flow(
        world.stack.prefect_api_url, repo_url=world.repo_url, instructions="Say hello.", verification=verification
    )


def deliver_run(world: World, flow_run_id: str) -> Run:
    call: Callable[..., State[Any]] = deliver
    state = call(flow_run_id=flow_run_id, return_state=True)
    result = state.result(raise_on_failure=False)
    assert isinstance(result, RunResult), result
    return Run(state, None, result, world.stack.prefect_api_url)


def test_a_failing_change_is_repaired_in_the_same_session(
    checked_world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    world = checked_world
    repair = shell("echo hello > hello.txt", "FAILED check_says_hello", "the end: bye", "The commands run again")
    work = shell("echo bye > hello.txt", f"- {COMMAND}")
    world.script(work, Turn("Said bye."), repair, Turn("Said hello."))
    flow_run = verified(world)
    delivery = flow_run.delivered()
    assert world.content(delivery.branch, "hello.txt") == "hello"
    assert delivery.verification is not None
    assert (delivery.verification.status, delivery.verification.repairs) == ("verified", 1)
    assert "verified after 1 repair" in str(flow_run.state.message)
    first, second = delivery.verification.rounds
    assert (first.repairs, first.status, first.commands[0].verdict) == (0, "verification failed", "failed")
    assert (second.repairs, second.status, second.commands) == (1, "verified", delivery.verification.commands)
    assert [each.verdict for each in delivery.verification.baseline] == ["passed"]
    costs = (first.cost_usd or 0, second.cost_usd or 0)
    assert min(costs) > 0
    assert sum(costs) == pytest.approx(delivery.cost_usd, abs=0.0002)
    assert "repair 1 of 2: 'sh check.sh' failed (exit status 1)" in caplog.text
    assert world.git("rev-list", "--count", delivery.branch).strip() == "2"
    assert [flow_run.run_count(name) for name in ("claude", "verify", "claude repair 1", "verify 2")] == [1, 1, 1, 1]
    report = flow_run.artifact()
    assert "| Verify commands | from verification.verify" in report.replace("\\", "")
    assert f"| repair 1 | verified | {second.seconds:.1f} | ${second.cost_usd:.4f} |" in report
    assert "Said bye." in report
    assert "Said hello." in report


def test_a_change_that_cannot_be_repaired_is_saved_and_delivered_by_a_person(checked_world: World) -> None:
    world = checked_world
    world.script(
        shell("echo bye > hello.txt"),
        Turn("Said bye."),
        shell("echo later > hello.txt"),
        Turn("Said later."),
        shell("echo never > hello.txt"),
        Turn("Said never."),
        shell("echo hello > hello.txt"),
        Turn("Too late."),
    )
    flow_run = verified(world)
    error = flow_run.error
    assert type(error) is errors.VerificationFailed
    assert isinstance(error.result, RunResult)
    assert (error.result.branch, error.result.commit) == ("", ""), "nothing was pushed"
    assert "after 2 repairs: 'sh check.sh' failed (exit status 1)" in str(error)
    assert str(error).endswith("The last lines of the output:\nFAILED check_says_hello\nthe end: never")
    assert flow_run.id in str(error)
    assert world.branches() == {"main"}
    delivered = deliver_run(world, flow_run.id)
    assert delivered.state.name == "NotVerified"
    assert world.content(delivered.delivered().branch, "hello.txt") == "never"
    assert "verification failed" in delivered.artifact()
    delivery = delivered.delivered()
    assert delivery.verification is not None
    assert delivery.verification.status == "verification failed"


def test_a_change_that_fails_can_be_pushed_and_the_run_still_fails(checked_world: World) -> None:
    world = checked_world
    world.script(shell("echo bye > hello.txt"), Turn("Said bye."))
    flow_run = verified(world, max_repairs=0, on_verification_failure="push")
    assert type(flow_run.error) is errors.VerificationFailed
    [branch] = world.branches() - {"main"}
    assert world.content(branch, "hello.txt") == "bye"
    assert f"pushed to {branch}" in str(flow_run.error)
    assert flow_run.state.name == "Failed"
    assert len(world.stack.model.requests) == 2


def test_the_command_prints_what_was_found_and_fails(checked_world: World) -> None:
    world = checked_world
    world.shell("echo bye > hello.txt")
    variables = {"REPO_URL": world.repo_url, "INSTRUCTIONS": "Say hello.", "BRANCH_NAME": "hello"}
    verification = {"VERIFY_COMMANDS": f"# the check\n{COMMAND}", "MAX_REPAIRS": "0", "ON_VERIFICATION_FAILURE": "push"}
    process = start({**variables, **verification, "PROCESS_REQUIREMENTS": "true"}, options=("--json",))
    assert process.returncode == 1, process.stderr
    result = json.loads(process.stdout)
    assert (result["outcome"], result["error"]["name"]) == ("failed", "VerificationFailed")
    assert (result["branch"], result["commit"]) == ("hello", world.git("rev-parse", "hello").strip())
    assert result["verification"]["status"] == "verification failed"
    [command] = result["verification"]["commands"]
    assert (command["command"], command["verdict"], command["exit_status"]) == (COMMAND, "failed", 1)


def test_a_repair_that_undoes_the_change_is_not_repeated(checked_world: World) -> None:
    world = checked_world
    world.script(shell("echo bye > hello.txt"), Turn("Said bye."), shell("rm hello.txt"), Turn("I cannot do it."))
    flow_run = verified(world, on_verification_failure="push")
    assert "after 1 repair: " in str(flow_run.error)
    assert len(world.stack.model.requests) == 4
    [branch] = world.branches() - {"main"}
    assert world.content(branch, "hello.txt") == "bye"


@pytest.mark.parametrize(
    ("output", "verdict", "count"),
    [("wrong", "failed", 1), ("No space left on device", "out of disk", 2)],
    ids=["change", "machine"],
)
def test_a_repair_that_changes_nothing_is_not_repeated(
    make_world: Callable[[dict[str, str]], World],
    caplog: pytest.LogCaptureFixture,
    output: str,
    verdict: str,
    count: int,
) -> None:
    caplog.set_level("INFO")
    check = f"if [ -e hello.txt ]; then echo {output}; exit 1; fi\n"
    world = make_world({"README.md": "# A repository\n", "check.sh": check})
    world.script(shell("echo bye > hello.txt"), Turn("Said bye."), Turn("I change nothing."))
    flow_run = verified(world)
    assert "after 1 repair: " in str(flow_run.error)
    assert len(world.stack.model.requests) == 3
    assert sum(f"verify: sh check.sh: {verdict} " in line for line in caplog.messages) == count


def test_a_limit_that_ends_a_repair_leaves_the_change_before_it(checked_world: World) -> None:
    world = checked_world
    world.script(shell("echo bye > hello.txt"), Turn("Said bye."), shell("echo half > hello.txt"), Turn("Said half."))
    verification = {"verify_commands": COMMAND}
    parameters = {"repo_url": world.repo_url, "instructions": "Say hello.", "limits": {"max_turns": 3}}
    flow_run = run_flow(world.stack.prefect_api_url, verification=verification, **parameters)
    assert type(flow_run.error) is errors.VerificationFailed
    text = str(flow_run.error)
    assert "A repair was ended: the agent used all 3 turns: raise limits.max_turns" in text
    assert text.count("saved as") == 1
    assert "The change before that repair is not pushed, but saved as " in text
    report = flow_run.artifact()
    assert "+bye" in report
    # The run has no deployment, so its report has a command for a shell.
    [command] = re.findall(r"^- If no process serves .*: `(python -c .*)`$", report, re.MULTILINE)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    process = subprocess.run(
        ["sh", "-c", command],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    [branch] = world.branches() - {"main"}
    assert world.content(branch, "hello.txt") == "bye"


def check_that_the_change_before_the_repair_counts(world: World, flow_run: Run, reason: str) -> None:
    assert type(flow_run.error) is errors.VerificationFailed
    assert "A repair was ended: " in str(flow_run.error)
    assert reason in str(flow_run.error)
    assert "+bye" in flow_run.artifact()
    delivery = deliver_run(world, flow_run.id).delivered()
    assert world.content(delivery.branch, "hello.txt") == "bye"
    assert delivery.verification is not None
    assert delivery.verification.status == "verification failed"


def test_a_repair_that_ruins_the_repository_leaves_the_change_before_it(checked_world: World) -> None:
    ruin = shell("echo half > hello.txt; rm -rf .git")
    checked_world.script(shell("echo bye > hello.txt"), Turn("Said bye."), ruin, Turn("I broke it."))
    check_that_the_change_before_the_repair_counts(checked_world, verified(checked_world), "the agent left a work tree")


class Uncounted:
    """A request with the usual counts of tokens."""

    usage: Mapping[str, Any] = MappingProxyType({})

    def begin_reply(self, output_tokens: int) -> None:
        pass


def test_a_repair_that_the_model_refuses_leaves_the_change_before_it(
    checked_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def count(body: dict[str, Any], _: str) -> Uncounted:
        if "<check-results>" in json.dumps(body) and "half" in json.dumps(body):
            raise ValueError("no repair is finished here")
        return Uncounted()

    world = checked_world
    monkeypatch.setattr(world.stack.model, "count_tokens", count)
    world.script(shell("echo bye > hello.txt"), Turn("Said bye."), shell("echo half > hello.txt"), Turn("Said half."))
    check_that_the_change_before_the_repair_counts(world, verified(world), "no repair is finished here")


def test_a_command_that_failed_before_is_delivered_as_not_verified(
    make_world: Callable[[dict[str, str]], World],
) -> None:
    tests = "n=2; if [ -e hello.txt ]; then n=3; echo 'test_hello ... ok'; fi; echo \"Ran $n tests in 0.$n s\"\n"
    world = make_world({"README.md": "# A repository\n", "check.sh": f"echo 'FAILED old_check'; {tests}exit 1\n"})
    flow_run = verified(world)
    delivery = flow_run.delivered()
    assert flow_run.state.name == delivery.outcome.state_name == "NotVerified"
    assert delivery.verification is not None
    assert delivery.verification.status == "not verified, failed before"
    assert world.content(delivery.branch, "hello.txt") == "hello"
    assert len(world.stack.model.requests) == 2
    report = flow_run.artifact()
    assert "Without the change" in report
    assert "sh check.sh: failed" in report


JUNIT_CHECK = """\
b=''; if [ -e hello.txt ] && ! grep -qx hello hello.txt; then b='<failure/>'; fi
echo "<testsuite><testcase name='says_a'><failure/></testcase><testcase name='says_b'>$b</testcase></testsuite>" > r.xml
exit 1
"""


def test_a_test_that_failed_before_does_not_excuse_another_one(make_world: Callable[[dict[str, str]], World]) -> None:
    settings = "verify: sh check.sh\njunit: [r.xml]\n"
    world = make_world({"README.md": "# A\n", "check.sh": JUNIT_CHECK, ".claude-code-headless.yaml": settings})
    repair = shell("echo hello > hello.txt", "Failed tests: says_a, says_b", "Failed before your change already: these")
    world.script(shell("echo bye > hello.txt"), Turn("Said bye."), repair, Turn("Said hello."))
    flow_run = verified(world, commands="")
    delivery = flow_run.delivered()
    assert world.content(delivery.branch, "hello.txt") == "hello"
    assert delivery.verification is not None
    assert (delivery.verification.status, delivery.verification.repairs) == ("not verified, failed before", 1)
    [command] = delivery.verification.commands
    assert (command.verdict, command.tests, command.tests_failed) == ("failed before", 2, 1)
    assert set(delivery.files) == {"hello.txt"}
    assert "| repair 1 | `sh check.sh` | – failed before, exit status 1 |" in flow_run.artifact()  # noqa: RUF001


PACKAGE = '{"scripts": {"test": "sh tests/test_hello.sh"}}\n'


def test_checks_that_the_agent_changed_are_listed(
    make_world: Callable[[dict[str, str]], World], caplog: pytest.LogCaptureFixture
) -> None:
    run_script = 'sh -c "$(sed -n \'s/.*"test": "\\(.*\\)".*/\\1/p\' package.json)"\n'
    tests = {"tests/test_hello.sh": "exit 1\n", "tests/test_b.py": "def test_b():\n    assert True\n"}
    world = make_world({"package.json": PACKAGE, "check.sh": run_script, **tests})
    world.shell("""echo '{"scripts": {"test": "true"}}' > package.json; rm tests/test_b.py""")
    flow_run = verified(world)
    delivery = flow_run.delivered()
    assert flow_run.state.name == "Completed"
    assert delivery.verification is not None
    assert delivery.verification.status == "verified, checks changed"
    changed = "\n".join(delivery.verification.changed_checks)
    assert "package.json" in changed
    assert "tests/test_b.py" in changed
    report = flow_run.artifact()
    steps, _, section = report.partition("## Verification")
    assert "Review this first: `package.json: scripts.test" in steps
    assert "`tests/test_b.py" in section
    assert "the change touches what defines the checks. Review this first: package.json: " in caplog.text
    assert "verified, checks changed" in str(flow_run.state.message)


def test_a_setup_that_the_change_breaks_is_a_failed_verification(make_world: Callable[[dict[str, str]], World]) -> None:
    setup = "grep -q good requirements.txt || { echo 'no such package'; exit 3; }\n"
    world = make_world({"requirements.txt": "good\n", "setup.sh": setup, "check.sh": "true\n"})
    world.shell("echo bad > requirements.txt")
    flow_run = verified(world, setup_command="sh setup.sh", max_repairs=0)
    assert type(flow_run.error) is errors.VerificationFailed
    assert "its setup failed" in str(flow_run.error)
    assert "no such package" in str(flow_run.error)
    assert world.branches() == {"main"}
