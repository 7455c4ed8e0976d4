"""`python -m deployments runs continue` and `repeat`, on real runs of a served deployment."""

import os
import re
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.local.scripted_model import Tool, Turn
from deployments.local.served import run, served
from deployments.local.stack import LocalStack
from tests.support.commands import SetUpCommand, set_up_command
from tests.support.forges.fixtures import parameters_for, serve_with_git
from tests.support.forges.github import GitHubStandIn
from tests.support.forges.stand_in import ForgeStandIn
from tests.support.world import World

PROJECT = Path(__file__).parents[2]
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# All tests of this module share one served deployment.
pytestmark = pytest.mark.xdist_group("next-run")

Start = Callable[..., tuple[str, bool]]


@pytest.fixture(scope="module")
def runs_command(stack: LocalStack) -> SetUpCommand:
    return set_up_command(stack, "runs")


@pytest.fixture(scope="module")
def start(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Return a function that starts a run with Prefect's command line and waits until it ends."""
    folder = tmp_path_factory.mktemp("served")
    environment = {
        **os.environ,
        **stack.environment(),
        "PYTHONPATH": str(PROJECT),
        "PREFECT_LOCAL_STORAGE_PATH": str(folder / "store"),
    }
    with served(environment) as server:
        yield lambda **parameters: run(environment, server, **parameters)


def flow_run(stack: LocalStack, flow_run_id: str) -> dict[str, object]:
    response: dict[str, object] = httpx.get(f"{stack.prefect_api_url}/flow_runs/{flow_run_id}", trust_env=False).json()
    return response


def state_after_end(stack: LocalStack, flow_run_id: str) -> str:
    """Wait until the run ends; return the name of its state, or the state's message if the run failed."""
    deadline = time.monotonic() + 120
    while flow_run(stack, flow_run_id)["state_type"] not in {"COMPLETED", "FAILED", "CRASHED"}:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    state = flow_run(stack, flow_run_id)["state"]
    assert isinstance(state, dict)
    return str(state["name"] if state["type"] == "COMPLETED" else state["message"])


def end_event(stack: LocalStack, flow_run_id: str) -> dict[str, Any]:
    """Return the event at the run's end, which reaches the server shortly after it."""
    query = {"filter": {"resource": {"id": [f"claude-code.run.{flow_run_id}"]}}}
    for _ in range(100):
        events = httpx.post(f"{stack.prefect_api_url}/events/filter", json=query, trust_env=False).json()["events"]
        if events:
            return dict(events[0])
        time.sleep(0.1)
    raise AssertionError("the run sent no event")


def report(stack: LocalStack, flow_run_id: str) -> str:
    filters = {"flow_runs": {"id": {"any_": [flow_run_id]}}, "sort": "CREATED_DESC"}
    artifacts = httpx.post(f"{stack.prefect_api_url}/artifacts/filter", json=filters, trust_env=False).json()
    return next(str(artifact["data"]) for artifact in artifacts if (artifact["key"] or "").endswith("-report"))


def advised_command(text: str, name: str) -> list[str]:
    """Return the arguments after `python -m deployments runs` of the command that a report advises."""
    [command] = re.findall(rf"`python -m deployments runs ({name} [^`]*)`", text)
    return shlex.split(command)


def write(path: str) -> Tool:
    return Tool("Write", {"file_path": f"{{cwd}}/{path}", "content": "written\n"})


def test_after_a_reached_limit_the_advised_command_continues_the_session_with_a_higher_limit(
    world: World, start: Start, runs_command: SetUpCommand
) -> None:
    world.script(Turn("I write one.", (write("one.txt"),)), Turn("And two.", (write("two.txt"),)), Turn("Done."))
    limits = {"max_budget_usd": 0.001}
    flow_run_id, completed = start(
        repo_url=world.repo_url, instructions="Write one and two", branch_name="limit", limits=limits
    )
    assert not completed
    text = report(world.stack, flow_run_id)
    assert "BudgetExceeded" in text
    assert "keeps all parameters" in text
    arguments = advised_command(text, "continue")
    assert arguments == ["continue", flow_run_id, "--set", "limits.max_budget_usd=1"]
    requests_before = len(world.stack.model.requests)
    assert flow_run_id in runs_command(*arguments)
    assert state_after_end(world.stack, flow_run_id) == "Completed"
    assert world.content("limit", "one.txt") + world.content("limit", "two.txt") == "writtenwritten"
    resumed = world.stack.model.requests[requests_before].body.decode()
    assert "I write one." in resumed, "the same session"
    assert len(world.stack.model.requests) - requests_before <= 3, "finished work is not paid for again"


def test_after_a_denied_tool_the_advised_command_allows_it(
    world: World, start: Start, runs_command: SetUpCommand
) -> None:
    world.script(
        Turn("I write.", (write(".npmrc"),)),
        Turn("Write was denied."),
        Turn("Again.", (write(".npmrc"),)),
        Turn("Done."),
    )
    settings = {"permissions": {"allow": ["Bash(*)"], "defaultMode": "acceptEdits"}}
    flow_run_id, completed = start(
        repo_url=world.repo_url, instructions="Write .npmrc", branch_name="denied", claude_settings=settings
    )
    assert not completed
    text = report(world.stack, flow_run_id)
    assert "AgentDenied" in text
    runs_command(*advised_command(text, "continue"))
    assert state_after_end(world.stack, flow_run_id) == "Completed"
    assert world.content("denied", ".npmrc") == "written"


def test_a_follow_up_is_continued_in_its_session_and_a_repeated_one_hears_what_is_new(
    world: World, start: Start, runs_command: SetUpCommand
) -> None:
    replies = [{"comment": 1, "text": "Both are there.", "changed": True}]
    world.script(
        Turn("I write hello.", (write("hello.txt"),)),
        Turn("Done."),
        Turn("I write one.", (write("one.txt"),), needs=("I write hello.", "One and two, please")),
        Turn("And two.", (write("two.txt"),), needs=("I write one.",)),
        Turn("Followed up.", answer={"replies": replies}),
    )
    with serve_with_git(GitHubStandIn, world) as forge:
        assert start(instructions="Write hello", **parameters_for(forge))[1]
        forge.reviews.say("ada", "One and two, please", 1)
        page = {"pull_request_url": f"{forge.url}/acme/widgets/pull/1", "forge": forge.name}
        flow_run_id, completed = start(deployment="follow_up/local", limits={"max_budget_usd": 0.001}, **page)
        assert not completed
        text = report(world.stack, flow_run_id)
        assert "BudgetExceeded" in text
        assert forge.reviews.own_comments == []
        runs_command(*advised_command(text, "continue"))
        assert state_after_end(world.stack, flow_run_id) == "Completed"
        assert world.content("work", "one.txt") + world.content("work", "two.txt") == "writtenwritten"
        assert "> Both are there." in forge.reviews.own_comments[0].text
        assert len(forge.reviews.own_comments) == 2

        requests = len(world.stack.model.requests)
        repeated = ID.findall(runs_command("repeat", flow_run_id))[-1]
        assert repeated != flow_run_id
        assert state_after_end(world.stack, repeated) == "NoChanges"
        assert len(world.stack.model.requests) == requests, "nothing is spent"
        assert len(forge.reviews.own_comments) == 2


def test_a_repeated_run_has_all_parameters_of_the_first_run(
    world: World, start: Start, runs_command: SetUpCommand
) -> None:
    instructions = 'Say "hello", isn\'t it\nin `hello.txt`'
    world.script(Turn("I see nothing to do."))
    flow_run_id, completed = start(
        repo_url=world.repo_url, instructions=instructions, branch_name="again", commit_message="A greeting"
    )
    assert completed
    arguments = advised_command(report(world.stack, flow_run_id), "repeat")
    world.script()
    output = runs_command(*arguments, "--set", "branch_name=1234", "--set", "limits.max_turns=7")
    [new_id] = set(ID.findall(output)) - {flow_run_id}
    assert state_after_end(world.stack, new_id) == "Completed"
    assert world.content("1234", "hello.txt") == "hello"
    assert "A greeting" in world.git("log", "-1", "--format=%B", "1234")
    parameters = flow_run(world.stack, new_id)["parameters"]
    assert isinstance(parameters, dict)
    assert parameters["instructions"] == instructions
    assert parameters["branch_name"] == "1234"
    assert parameters["limits"] == {"max_turns": 7}
    for wrong_arguments, message in (
        (("continue", new_id), "is completed, so there is nothing to continue"),
        (("repeat", new_id, "--set", "limits.max_turn=7"), "limits has no field 'max_turn'"),
        (("repeat", new_id, "--set", "branch=x"), "the flow has no parameter 'branch'"),
        (("repeat", new_id, "--set", "repo_url.x=1"), "repo_url has no fields"),
        (("repeat", new_id, "--set", "branch_name"), "is not NAME=VALUE"),
        (("repeat", new_id, "--set", "branch_name=.."), "InvalidBranchName"),
        (("repeat", new_id, "--set", "limits.max_turns=-1"), "limits.max_turns"),
        (("repeat", new_id, "--set", "pull_request=draft"), "it is a group: set one of pull_request.pull_request, "),
        (("repeat", new_id, "--set", "pull_request.reviewers=ada"), 'write it as JSON, such as ["ada", "grace"]'),
        (
            ("repeat", new_id, "--set", "claude_settings.permissions.allow.x=1"),
            "names a field of a value that has no fields",
        ),
    ):
        refusal = " ".join(runs_command(*wrong_arguments, status=1).split())
        assert message in refusal
        assert "InvalidParameter" in refusal


def test_a_continued_run_keeps_the_parameters_of_its_saved_plan(
    world: World, start: Start, runs_command: SetUpCommand
) -> None:
    flow_run_id, completed = start(repo_url=f"{world.repo_url}x", instructions="Say hello")
    assert not completed
    for name in ("repo_url", "instructions", "branch_name"):
        refusal = " ".join(runs_command("continue", flow_run_id, "--set", f"{name}=x", status=1).split())
        assert f"a continued run keeps its {name}" in refusal


@pytest.mark.parametrize("flow_run_id", ["x", "00000000-0000-0000-0000-000000000000"])
def test_an_unknown_run_is_refused(runs_command: SetUpCommand, flow_run_id: str) -> None:
    assert "there is no flow run" in runs_command("continue", flow_run_id, status=1)


def test_a_run_without_a_deployment_is_refused(
    run: Callable[..., "object"], world: World, runs_command: SetUpCommand
) -> None:
    world.script(Turn("I see nothing to do."))
    flow_run_id = run().id  # type: ignore[attr-defined]
    refusal = runs_command("repeat", flow_run_id, status=1)
    assert "DeploymentMissing" in refusal


@pytest.fixture
def forge(world: World) -> Iterator[ForgeStandIn]:
    with serve_with_git(GitHubStandIn, world) as stand_in:
        stand_in.branches.add("asks")
        yield stand_in


def test_a_question_is_answered_in_the_same_session(
    world: World, start: Start, runs_command: SetUpCommand, forge: ForgeStandIn
) -> None:
    question = {"status": "needs_input", "title": "Half of it", "questions": ["Tabs or spaces?"]}
    world.script(
        Turn("I write half.", (write("half.txt"),)),
        Turn("I cannot go on.", answer=question),
        Turn("Tabs, then.", (write("rest.txt"),), needs=("Take tabs.", "I write half.")),
        Turn("Done.", answer={"status": "partly", "not_done": ["The third file"]}),
    )
    parameters = {**parameters_for(forge), "branch_name": "asks"}
    flow_run_id, completed = start(instructions="Write all.", **parameters)
    assert not completed
    first = flow_run(world.stack, flow_run_id)
    state = first["state"]
    assert isinstance(state, dict)
    assert "NeedsInput: the agent needs answers to go on: Tabs or spaces?" in state["message"]
    assert "outcome:needs-input" in str(first["tags"])
    assert f"Answer with python -m deployments runs continue {flow_run_id} --feedback" in state["message"]
    event = end_event(world.stack, flow_run_id)
    assert event["event"] == "claude-code.run.needs-input"
    assert (event["payload"]["questions"], event["payload"]["not_done"]) == (["Tabs or spaces?"], [])
    assert "asks" not in world.branches()
    text = report(world.stack, flow_run_id)
    assert "> Tabs or spaces?" in text
    assert advised_command(text, "continue") == ["continue", flow_run_id, "--feedback", "…"]

    requests_before = len(world.stack.model.requests)
    runs_command("continue", flow_run_id)
    assert "Tabs or spaces?" in state_after_end(world.stack, flow_run_id)
    assert len(world.stack.model.requests) == requests_before, "without an answer, nothing is spent"

    runs_command("continue", flow_run_id, "--feedback", "Take tabs.")
    assert state_after_end(world.stack, flow_run_id) == "Completed"
    assert len(world.stack.model.requests) == requests_before + 2
    assert world.content("asks", "half.txt") + world.content("asks", "rest.txt") == "writtenwritten"
    final = flow_run(world.stack, flow_run_id)["state"]
    assert isinstance(final, dict)
    assert final["message"].endswith("; the agent left undone: The third file")
    assert "outcome:delivered" in str(flow_run(world.stack, flow_run_id)["tags"])
    assert "> The third file" in report(world.stack, flow_run_id)
    assert "## Asked later\n\n> Take tabs." in report(world.stack, flow_run_id)
    [opened] = forge.pull_requests
    assert "**Asked later:**\n\n- Take tabs." in opened.body
    assert "**Not done, as the agent says:**\n\n- The third file" in opened.body


def test_feedback_that_is_empty_or_too_long_is_refused(world: World, start: Start, runs_command: SetUpCommand) -> None:
    world.script(Turn("I stop.", answer={"status": "blocked"}))
    flow_run_id, completed = start(repo_url=world.repo_url, instructions="Write all.", branch_name="blocked")
    assert not completed
    state = flow_run(world.stack, flow_run_id)["state"]
    assert isinstance(state, dict)
    assert "Blocked: the agent could not go on: I stop." in state["message"]
    refused = {"x" * 20_001: "at most 20,000", "": "is empty", " \n": "is empty", "a \udcff": "not text in UTF-8"}
    for feedback, message in refused.items():
        assert message in runs_command("continue", flow_run_id, "--feedback", feedback, status=1)


def test_feedback_to_a_run_that_ended_before_its_agent_reaches_the_agent(
    world: World, start: Start, runs_command: SetUpCommand
) -> None:
    world.script(Turn("Tabs.", (write("all.txt"),), needs=("Take tabs.", "Write all.")), Turn("Done."))
    parameters = {"repo_url": world.repo_url, "instructions": "Write all.", "branch_name": "early"}
    flow_run_id, completed = start(**parameters, git_credentials_secret_id="missing")
    assert not completed
    secret = "git_credentials_secret_id=claude-headless/git-credentials"
    runs_command("continue", flow_run_id, "--set", secret, "--feedback", "Take tabs.")
    assert state_after_end(world.stack, flow_run_id) == "Completed"
    assert world.content("early", "all.txt") == "written"
