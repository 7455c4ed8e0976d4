"""A new provider needs only a module and an entry in the table: a whole run with the real Claude Code uses it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deployments.local.loopback import Exchange, ReceivedRequest
from deployments.local.scripted_model import Script, ScriptedModel, Tool, Turn
from tests.support.loopback_provider import HEADER
from tests.support.world import World

PROJECT = Path(__file__).parents[4]
KEY = "the-key-of-the-new-provider"
USAGE = {"input_tokens": 1200, "output_tokens": 150}
REPLY_USD = 1200 * 2e-6 + 150 * 10e-6
"""Price of one reply at the list price of claude-sonnet-5-5."""


class LoopbackApi(ScriptedModel):
    """The scripted model, which expects the key in the header of the made-up provider."""

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        key = request.headers.get(HEADER, "")
        super().answer(replace(request, headers={**request.headers, "x-api-key": key}), exchange)


@pytest.fixture
def api() -> Iterator[LoopbackApi]:
    with LoopbackApi(KEY, "", "") as server:
        shell = "env > env.txt; echo hello > hello.txt"
        server.script = Script(
            (Turn("I run.", (Tool("Bash", {"command": shell}),), usage=USAGE), Turn("Done.", usage=USAGE))
        )
        yield server


def run_flow(api: LoopbackApi, world: World, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {
        **os.environ,
        "PYTHONPATH": str(PROJECT),
        "PROCESS_REQUIREMENTS": "true",
        "REPO_URL": world.repo_url,
        "INSTRUCTIONS": "Greet",
        "BRANCH_NAME": "feature/loopback",
        "CLAUDE_PROVIDER": "loopback",
        "LOOPBACK_URL": api.url,
        **variables,
    }
    command = [sys.executable, "-m", "tests.support.loopback_provider", "--json"]
    return subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, check=False)


def test_a_made_up_provider_runs_a_whole_flow(api: LoopbackApi, world: World) -> None:
    completed_process = run_flow(api, world, LOOPBACK_API_KEY=f"{KEY}\n")
    assert completed_process.returncode == 0, completed_process.stderr
    result = json.loads(completed_process.stdout.splitlines()[-1])
    assert result["branch"] == "feature/loopback"
    assert result["cost_usd"] == pytest.approx(2 * REPLY_USD)
    assert world.content("feature/loopback", "hello.txt") == "hello"
    assert world.stack.model.requests == []
    assert {request.path.partition("?")[0] for request in api.requests} == {"/v1/messages"}
    assert {request.headers[HEADER] for request in api.requests} == {KEY}
    assert not [request for request in api.requests if {"x-api-key", "authorization"} & request.headers.keys()]
    assert json.loads(api.requests[0].body)["model"] == "claude-sonnet-5-5"
    agent_environment = world.content("feature/loopback", "env.txt")
    assert "ANTHROPIC_BASE_URL=http://127.0.0.1:" in agent_environment
    assert KEY not in agent_environment
    assert "CLAUDE_CODE_USE_BEDROCK" not in agent_environment


def test_a_missing_key_is_named_and_other_credentials_are_not_used(api: LoopbackApi, world: World) -> None:
    completed_process = run_flow(api, world)
    assert completed_process.returncode == 2
    assert "ApiKeyMissing: no API key for loopback: set LOOPBACK_API_KEY" in completed_process.stderr
    assert api.requests == world.stack.model.requests == []
