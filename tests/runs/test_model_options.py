"""The limits of a reply and of a shell command, and the effort: what they change in the real Claude Code."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from blocks import ClaudeCode
from deployments.local.scripted_model import Tool, Turn
from flows.errors import AgentFailed
from flows.parameters.limits import Limits
from tests.support.runs import Run
from tests.support.world import World

PROVIDERS = pytest.mark.parametrize("provider", ["bedrock", "anthropic"])


def first_request(world: World) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(world.stack.model.requests[0].body)
    return body


def shell_tool(request: dict[str, Any]) -> str:
    [description] = [tool["description"] for tool in request["tools"] if tool["name"] == "Bash"]
    return str(description)


@PROVIDERS
def test_the_request_has_the_runs_limits_and_effort(world: World, run: Callable[..., Run], provider: str) -> None:
    limits = {"max_output_tokens": 9000, "command_timeout_seconds": 1800}
    run(provider=provider, limits=limits, effort="max").delivered()
    request = first_request(world)
    assert request["max_tokens"] == 9000
    assert request["output_config"]["effort"] == "max"
    assert "default 120000, max 1800000" in shell_tool(request)


def test_a_block_gives_the_effort_and_a_parameter_overrides_it(world: World, run: Callable[..., Run]) -> None:
    ClaudeCode(effort="low", limits=Limits(max_output_tokens=9000)).save(world.name)
    run(claude_code_block=world.name).delivered()
    request = first_request(world)
    assert (request["output_config"]["effort"], request["max_tokens"]) == ("low", 9000)
    world.script()
    run(claude_code_block=world.name, effort="high", branch_name="high").delivered()
    assert first_request(world)["output_config"]["effort"] == "high"


def test_without_them_claude_code_decides(world: World, run: Callable[..., Run]) -> None:
    run().delivered()
    request = first_request(world)
    assert request["max_tokens"] > 9000
    assert "default 120000, max 600000" in shell_tool(request)


def test_a_silent_command_is_no_stall_and_is_ended_when_its_time_is_over(world: World, run: Callable[..., Run]) -> None:
    command = {"command": "sleep 10; echo slept > slept.txt; sleep 90; echo too long > long.txt", "timeout": "600000"}
    world.script(Turn("I wait.", (Tool("Bash", command),)), Turn("Done."))
    flow_run = run(limits={"stall_timeout_seconds": 7, "command_timeout_seconds": 20})
    delivery = flow_run.delivered()
    assert flow_run.run_count("claude") == 1
    assert set(delivery.files) == {"slept.txt"}
    assert b"timed out" in world.stack.model.requests[1].body


def test_replies_that_are_cut_off_at_the_limit_end_the_run_with_the_limits_name(
    world: World, run: Callable[..., Run]
) -> None:
    world.script(Turn("I wri", stop={"stop_reason": "max_tokens"}))
    failed = run(limits={"max_output_tokens": 9000})
    assert type(failed.error) is AgentFailed
    assert "raise limits.max_output_tokens" in str(failed.error)
    assert {json.loads(request.body)["max_tokens"] for request in world.stack.model.requests} == {9000}
