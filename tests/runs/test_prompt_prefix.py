"""All runs send the same system prompt and the same tools, so that a provider can read both from its cache."""

import json
from pathlib import Path
from typing import Any

import pytest

from deployments.local.scripted_model import Script, Tool, Turn
from deployments.local.stack import LocalStack
from flows.errors import TurnLimitReached
from tests.support.runs import run_flow
from tests.support.world import World, new_world

MAX_FIXED_CHARACTERS = 26_500
"""55% of what plain `claude -p` of version 2.1.332 sends first: 48,254 characters."""


def first_request(world: World, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401 (the flow's parameters)
    """Run the flow, and return the body of its first request to the model."""
    world.script()
    run_flow(world.stack.prefect_api_url, repo_url=world.repo_url, **parameters).delivered()
    return dict(json.loads(world.stack.model.requests[0].body))


def characters(*values: object) -> int:
    return sum(len(json.dumps(value, ensure_ascii=False)) for value in values)


@pytest.mark.parametrize("provider", ["bedrock", "anthropic"])
def test_two_runs_that_share_nothing_send_the_same_prefix(
    world: World, stack: LocalStack, tmp_path: Path, provider: str
) -> None:
    one = first_request(
        world,
        provider=provider,
        instructions="Say hello in hello.txt",
    )
    other = first_request(
        new_world(stack, tmp_path / "other", {"main.go": "package main\n", "AGENTS.md": "Use tabs.\n"}),
        provider=provider,
        instructions="Write hello.txt, and nothing else",
        branch_name="greeting",
        policy={"allow_ci_changes": True, "max_file_mb": 7},
        limits={"max_turns": 9},
    )
    assert json.dumps(one["tools"]) == json.dumps(other["tools"])
    assert json.dumps(one["system"]) == json.dumps(other["system"])
    assert "Prefer short names." in json.dumps(one["messages"])
    assert "Use tabs." in json.dumps(other["messages"])
    assert "7 MB" in json.dumps(other["messages"])
    assert {tool["name"] for tool in one["tools"]} == {
        "Agent", "Bash", "Edit", "NotebookEdit", "Read", "Skill", "StructuredOutput", "WebFetch", "Write"
    }  # fmt: skip


def test_the_first_request_is_small(world: World) -> None:
    body = first_request(world, instructions="Say hello in hello.txt", provider="anthropic")
    messages = json.dumps(body["messages"])
    for unused in ("gitStatus", "statusline-setup", "plugin-authoring", "dataviz"):
        assert unused not in messages
    assert "x-anthropic-billing-header" not in json.dumps(body["system"])
    assert characters(body["tools"], body["system"], body["messages"]) <= MAX_FIXED_CHARACTERS


def test_a_conversation_that_reaches_the_limit_is_summarized(world: World) -> None:
    model, call = world.stack.model, (Tool("Bash", {"command": "true"}),)
    steps = [Turn("A step.", call, usage={"cache_read_input_tokens": tokens}) for tokens in (30_000, 95_000)]
    world.script()
    model.script_for_other_instructions = Script((*steps,))
    model.script = Script((Turn("<summary>Two steps are done.</summary>"),), instructions_hold="Respond with TEXT ONLY")
    try:
        run = run_flow(
            world.stack.prefect_api_url,
            repo_url=world.repo_url,
            instructions="Take some steps",
            limits={"context_tokens": 100_000, "max_turns": 3},
        )
    finally:
        model.script_for_other_instructions = None
    assert isinstance(run.error, TurnLimitReached), run.error
    first, _, summarizing, later = [json.loads(request.body) for request in model.requests[:4]]
    assert "Take some steps" in json.dumps(summarizing["messages"])
    assert "Take some steps" not in json.dumps(later["messages"])
    assert "Two steps are done." in json.dumps(later["messages"])
    for body in (summarizing, later):
        assert json.dumps(body["system"]) == json.dumps(first["system"])
        assert "repeat the rules" in json.dumps(body["system"])
