"""What a repository says to coding agents, used by the real Claude Code in whole runs."""

import gzip
import json
from collections.abc import Callable, Iterator

import pytest

from deployments.local.scripted_model import Script, Tool, Turn
from flows.agent.extensions import BUILT_IN_SUBAGENTS
from tests.support.runs import Run, run_flow, steps_started
from tests.support.world import World

FILES = {
    "CLAUDE.md": "Our rules: @docs/style.md and `@docs/code.md`, not @~/notes.md\n",
    "docs/style.md": "Prefer short names.\n",
    "docs/code.md": "NOT IMPORTED\n",
    "web/CLAUDE.md": "NOT READ\n",
    ".claude/rules/all.md": "Always say please.\n",
    ".claude/rules/web.md": "---\npaths: web/**\n---\nNOT FOR ALL\n",
    ".claude/skills/greet/SKILL.md": "---\nname: greet\ndescription: Greets nicely\n---\nGreet by words.txt\n",
    ".claude/skills/greet/words.txt": "WORDS OF THE SKILL\n",
    ".claude/agents/r.md": "---\nname: reviewer\ndescription: Reviews well\ntools: Read\n---\nYou are strict.\n",
    ".claude/commands/web/fix.md": "---\ndescription: Fixes a page\n---\nFix page $ARGUMENTS now.\n",
    ".mcp.json": json.dumps({"mcpServers": {"planted": {"command": "touch", "args": ["mcp"]}}}),
}
HELLO = Tool("Write", {"file_path": "{cwd}/hello.txt", "content": "hello\n"})


def call(name: str, **values: str) -> Turn:
    return Turn("I call.", (Tool(name, values),))


@pytest.fixture
def world(make_world: Callable[[dict[str, str]], World]) -> Iterator[World]:
    world = make_world(FILES)
    yield world
    world.stack.model.script_for_other_instructions = None


def run(world: World, *turns: Turn, **parameters: object) -> Run:
    """Run the flow with these turns before the agent writes hello.txt. Its subagent answers in one turn."""
    world.script(*turns, Turn("I write.", (HELLO,)), Turn("Done.")).instructions_hold = "Say hello, at once"
    world.stack.model.script_for_other_instructions = Script((Turn("I reviewed it strictly."),))
    url = world.stack.prefect_api_url
    return run_flow(url, repo_url=world.repo_url, instructions="Say hello, at once", **parameters)


def bodies(world: World) -> list[dict[str, object]]:
    return [json.loads(request.body) for request in world.stack.model.requests if b'"messages"' in request.body]


def test_all_that_the_repository_says_is_used_without_any_permission(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    flow_run = run(
        world,
        call("Skill", skill="greet"),
        call("Read", file_path="{cwd}/../../claude/skills/greet/words.txt"),
        call("Agent", description="d", prompt="Look at it", subagent_type="reviewer"),
        call("Skill", skill="web:fix", args="seven"),
        claude_settings={"permissions": {"allow": ["Bash(true)"]}},
    )
    assert flow_run.delivered().files == ("hello.txt",)
    assert "| Tools denied | none |" in flow_run.artifact()
    requests = bodies(world)
    first, last = json.dumps(requests[0]), json.dumps(requests[-1])
    assert "Prefer short names." in first
    assert "Always say please." in first
    assert "- web/CLAUDE.md" in first
    assert "- .claude/rules/web.md: web/**" in first
    for text in ("NOT IMPORTED", "NOT READ", "NOT FOR ALL"):
        assert text not in first
    for text in ("Greets nicely", "Reviews well", "Fixes a page"):
        assert text in first
    for text in ("Greet by words.txt", "WORDS OF THE SKILL", "I reviewed it strictly.", "Fix page seven now."):
        assert text in last
    [subagent] = [request for request in requests if "You are strict." in json.dumps(request["system"])]
    assert [tool["name"] for tool in subagent["tools"]] == ["Read"]  # type: ignore[attr-defined]
    messages = steps_started(caplog)
    assert (
        "the repository's files for agents: CLAUDE.md, docs/style.md, 2 rules, 1 listed file, skill greet, "
        "subagent reviewer, command web:fix" in messages
    )
    assert (
        "left out of the repository's files for agents: @~/notes.md in CLAUDE.md, a path in a home directory"
        in messages
    )
    row = "CLAUDE.md, docs/style.md, 2 rules, 1 listed file, 1 skill, 1 subagent, 1 command"
    assert row in flow_run.artifact()


def test_the_list_of_claude_codes_own_subagents_is_complete(world: World) -> None:
    lines = gzip.decompress(run(world).saved_file("transcript.jsonl.gz").read_bytes()).splitlines()
    events = [json.loads(line) for line in lines]
    [start] = [event for event in events if event.get("subtype") == "init"]
    assert {name.lower() for name in start["agents"]} - {"reviewer"} <= BUILT_IN_SUBAGENTS
    assert {"greet", "web:fix"} <= set(start["slash_commands"])
    assert start["mcp_servers"] == []
