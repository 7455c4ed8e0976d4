"""The message of a failure says what the run has cost; the agent is told the policy; a repeated failure is reported."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from deployments.local.git_remote import GitFault
from deployments.local.scripted_model import ModelFault, Tool, Turn
from flows import errors
from flows.tasks.push import push
from tests.support.runs import Run
from tests.support.world import World

COST = re.compile(r"the model cost \$0\.\d{2,4}")


def shell(command: str) -> Turn:
    return Turn("I run.", (Tool("Bash", {"command": command}),))


@pytest.mark.parametrize(
    ("turns", "parameters", "error"),
    [
        ((shell("echo a > a"), shell("echo b > b"), Turn("Done.")), {"limits": {"max_turns": 1}},
         errors.TurnLimitReached),
        ((shell("mkdir -p .circleci; echo a > .circleci/config.yml"), Turn("Done.")), {}, errors.CiFilesChanged),
        ((shell("echo a > a; sleep 60"),), {"limits": {"agent_timeout_seconds": 5}}, errors.AgentTimeout),
        ((shell("python3 -c 'import shutil; shutil.rmtree(\".g\" + \"it\")'"), Turn("Done.")), {},
         errors.AgentRepoInvalid),
        ((Turn("Which one shall I take?"),), {}, errors.NeedsInput),
        ((shell("echo a > a"), Turn("No.", stop={"stop_reason": "refusal"})), {}, errors.ModelRefused),
        ((shell("echo a > a"), Turn("Done.")), {"limits": {"max_budget_usd": 0.001}}, errors.BudgetExceeded),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)  # fmt: skip
def test_the_message_of_a_failure_names_the_cost_once(
    world: World,
    run: Callable[..., Run],
    turns: tuple[Turn, ...],
    parameters: dict[str, Any],
    error: type[errors.RunError],
) -> None:
    world.script(*turns)
    failed_run = run(**parameters)
    assert type(failed_run.error) is error
    assert len(COST.findall(str(failed_run.error))) == 1
    assert COST.search(str(failed_run.state.message))
    assert COST.search(failed_run.artifact())


def test_a_failure_of_the_model_names_the_cost(world: World, run: Callable[..., Run]) -> None:
    world.script().faults.extend([ModelFault(400, "Operation not allowed")] * 9)
    assert "(the model cost $0.0000)" in str(run().error)


def test_a_failed_push_names_the_cost(world: World, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "retries", 0)
    world.stack.git.faults.extend([GitFault("/git-receive-pack", 503)] * 9)
    failed_run = run()
    assert type(failed_run.error) is errors.RemoteUnavailable
    assert COST.search(str(failed_run.error))


def test_a_failure_before_the_agent_started_names_no_cost(world: World, run: Callable[..., Run]) -> None:
    failed_run = run(base_branch="there-is-none")
    assert type(failed_run.error) is errors.BaseRefNotFound
    assert "cost" not in str(failed_run.error)
    del world


@pytest.mark.parametrize(
    ("policy", "rule"),
    [("allow_ci_changes", ".github/workflows"), ("allow_agent_files", ".mcp.json"), ("allow_submodules", "submodules")],
)
def test_the_first_message_tells_the_agent_the_policy(
    world: World, run: Callable[..., Run], policy: str, rule: str
) -> None:
    run().delivered()
    assert rule in world.stack.model.requests[0].body.decode()
    world.script()
    run(policy={policy: True}).delivered()
    assert rule not in world.stack.model.requests[0].body.decode()


def test_one_failing_command_for_all_turns_is_in_log_and_report(
    world: World, run: Callable[..., Run], caplog: pytest.LogCaptureFixture
) -> None:
    world.script(*(shell("ls /nowhere") for _ in range(12)), shell("echo a > a"), Turn("Done."))
    flow_run = run()
    flow_run.delivered()
    assert "10 times the same failure: runs ls /nowhere → exit 2" in caplog.text
    assert "12 times the same failure: runs ls /nowhere" in flow_run.artifact()
