"""MCP servers of a Claude Code block in whole runs: the agent uses their tools, and nothing shows their secrets."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect.types import SecretDict

from blocks import ClaudeCode
from deployments.local.scripted_model import Tool, Turn
from deployments.local.stack import GIT_TOKEN
from flows import errors
from tests.support import mcp_server
from tests.support.prefect_workers import flush
from tests.support.runs import Run
from tests.support.service_settings import PYTHON
from tests.support.sightings import holders, sampled_argv, seen_in
from tests.support.world import World

KEY = f"local-words-key-{uuid4().hex[:8]}"
TOOL = "mcp__words__look_up"


def save_block(world: World, **variables: str) -> None:
    """Save a block whose MCP server is a program on this machine."""
    program = Path(mcp_server.__file__).read_text()
    server = {"command": PYTHON, "args": ["-c", program], "env": {"MEANING": "good", "WORDS_KEY": KEY, **variables}}
    servers: dict[str, Any] = {"words": server}
    ClaudeCode(mcp_servers=SecretDict(servers), repositories=[world.repo_url]).save(world.name)


def test_the_agent_uses_the_tools_of_the_blocks_servers_and_nothing_shows_their_secrets(
    world: World, run: Callable[..., Run], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    save_block(world)
    world.script(
        Turn("I ask.", (Tool(TOOL, {"word": "hello"}),)),
        Turn("I write.", (Tool("Bash", {"command": "id -u > uid.txt"}),)),
        Turn(f"The key is {KEY}."),
    )
    caplog.set_level("DEBUG")
    with sampled_argv() as argv:
        settings = {"permissions": {"allow": ["Bash(id *)"]}}
        flow_run = run(claude_code_block=world.name, claude_settings=settings)
    flush()
    delivery = flow_run.delivered()
    first, second = (json.loads(request.body) for request in world.stack.model.requests[:2])
    assert [tool["name"] for tool in first["tools"]].count(TOOL) == 1
    uid = world.content(delivery.branch, "uid.txt")
    assert f"hello is good, says uid {uid} with the key {KEY}" in json.dumps(second["messages"])
    assert delivery.summary == "The key is ***."
    output = capfd.readouterr()
    everything = (caplog.text + output.out + output.err + repr(flow_run.state) + flow_run.artifact()).encode()
    assert seen_in(everything + b"\0".join(argv), [KEY]) == []
    assert holders(flow_run.saved_file("").rglob("*"), [KEY]) == []
    document = f"{world.stack.prefect_api_url}/block_types/slug/claude-code/block_documents/name/{world.name}"
    assert httpx.get(document).json()["data"]["mcp_servers"]["words"]["env"]["WORDS_KEY"] == "********"
    assert holders((world.stack.home / "prefect-server").rglob("*.db*"), [KEY]) == []


def test_a_change_with_a_servers_secret_is_not_pushed(world: World, run: Callable[..., Run]) -> None:
    save_block(world)
    world.shell(f"echo '{KEY}' > key.txt")
    stopped = run(claude_code_block=world.name)
    assert type(stopped.error) is errors.CredentialExposed
    assert "WORDS_KEY of the server words of mcp_servers" in str(stopped.error)
    assert world.branches() == {"main"}


def test_the_git_token_is_not_handed_to_a_server(world: World, run: Callable[..., Run]) -> None:
    save_block(world, WORDS_KEY=f"Bearer {GIT_TOKEN}")
    refused = run(claude_code_block=world.name)
    assert type(refused.error) is errors.InvalidBlock
    assert "which the agent must not get" in str(refused.error)
    assert world.stack.model.requests == []
