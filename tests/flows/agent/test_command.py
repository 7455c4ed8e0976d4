"""Claude Code's command line and environment: exactly what we hand over, and nothing of the host's secrets."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.agent.command import PASSED_ON, TOOLS, Session, argv, binary, environment
from flows.model.gateway_token import GATEWAY_TOKEN_HEADER
from flows.parameters.provider import Provider
from flows.parameters.request import ClaudeCodeOptions, Limits

SESSION = Session("5985dfbc-f6b7-43dc-be5d-80fab5decab3", resumes=False)
BASE = {"HOME": "/run/agent/home", "TMPDIR": "/run/agent/tmp", "CLAUDE_CODE_HEADLESS_RUN": "/run"}
GATEWAY = "http://127.0.0.1:4567"
TOKEN = "gateway-token"
SECRET = "do-not-leak"
OF_THE_HOST = (
    "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "ANTHROPIC_BEDROCK_BASE_URL",
    "ANTHROPIC_CUSTOM_HEADERS", "ANTHROPIC_MODEL", "ANTHROPIC_SMALL_FAST_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL",
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION",
    "AWS_BEARER_TOKEN_BEDROCK", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL", "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN",
    "ECS_CONTAINER_METADATA_URI", "ECS_CONTAINER_METADATA_URI_V4", "PREFECT_API_KEY", "PREFECT_API_URL",
    "PREFECT_API_AUTH_STRING", "PREFECT__FLOW_RUN_ID", "GITHUB_TOKEN", "GH_TOKEN", "GITLAB_TOKEN", "GIT_ASKPASS",
    "SSH_AUTH_SOCK", "SSH_ASKPASS", "GIT_CONFIG_COUNT", "GIT_CONFIG_PARAMETERS", "GIT_SSH_COMMAND", "GIT_DIR",
    "HTTP_PROXY", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "LD_PRELOAD", "LD_LIBRARY_PATH", "NODE_OPTIONS",
    "PYTHONPATH", "PYTHONSTARTUP", "BASH_ENV", "ENV", "SHELLOPTS", "VIRTUAL_ENV", "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CONFIG_DIR", "CLAUDE_CODE_OAUTH_TOKEN", "HOME", "TMPDIR", "USER", "LOGNAME",
    "SHELL", "CI", "DATABASE_URL", "KUBECONFIG", "NPM_TOKEN",
)  # fmt: skip
HOSTILE = {**dict.fromkeys(OF_THE_HOST, SECRET), "PATH": "/usr/bin:/bin"}
COMMON = {
    *BASE,
    "PATH", "LANG", "SHELL", "CI", "GIT_TERMINAL_PROMPT", "CLAUDE_CONFIG_DIR",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS",
    "ANTHROPIC_CUSTOM_HEADERS", "ANTHROPIC_DEFAULT_HAIKU_MODEL",
}  # fmt: skip
OF_PROVIDER: dict[Provider, dict[str, str]] = {
    "anthropic": {"ANTHROPIC_BASE_URL": GATEWAY, "ANTHROPIC_AUTH_TOKEN": TOKEN},
    "bedrock": {
        "CLAUDE_CODE_USE_BEDROCK": "1",
        "CLAUDE_CODE_SKIP_BEDROCK_AUTH": "1",
        "ANTHROPIC_BEDROCK_BASE_URL": GATEWAY,
    },
}


def built(session: Session = SESSION, **options: Any) -> list[str]:  # noqa: ANN401 (any field of the options)
    return argv(
        Path("/opt/claude"), ClaudeCodeOptions(**options), session, Path("/run/config"), Path("/run/instructions")
    )


def test_the_whole_command_line() -> None:
    limits = Limits(max_turns=7, max_budget_usd=1.5)
    assert built(claude_model_id="the-model", limits=limits) == [
        "/opt/claude",
        "-p",
        "--output-format=stream-json",
        "--verbose",
        "--setting-sources=user",
        "--strict-mcp-config",
        "--settings=/run/config/settings.json",
        "--append-system-prompt-file=/run/config/system-prompt.md",
        "--permission-mode=acceptEdits",
        f"--tools={','.join(TOOLS)}",
        "--add-dir=/run/instructions",
        "--model=the-model",
        "--max-turns=7",
        f"--session-id={SESSION.id}",
    ]


def test_a_session_that_exists_is_resumed_and_a_new_one_gets_its_id() -> None:
    new, old = built(Session("abc", resumes=False)), built(Session("abc", resumes=True))
    assert "--session-id=abc" in new
    assert "--resume=abc" in old
    assert not [part for part in new if part.startswith("--resume")]
    assert not [part for part in old if part.startswith("--session-id")]


@pytest.mark.parametrize(("limit", "flag"), [("max_turns", "--max-turns=")])
def test_a_limit_of_zero_leaves_its_flag_out_and_only_that(limit: str, flag: str) -> None:
    without = built(limits=Limits.model_validate({limit: 0}))
    assert not [part for part in without if part.startswith(flag)]
    assert len(without) == len(built()) - 1
    assert [part for part in built() if part.startswith(flag)]


@pytest.mark.parametrize("mode", ["plan", "bypassPermissions"])
def test_the_settings_permission_mode_is_asked_for(mode: str) -> None:
    assert f"--permission-mode={mode}" in built(claude_settings={"permissions": {"defaultMode": mode}})


@pytest.mark.parametrize("provider", ["bedrock", "anthropic"])
def test_an_unnamed_model_is_the_providers_default(provider: Provider) -> None:
    assert f"--model={ClaudeCodeOptions(provider=provider).model_id}" in built(provider=provider)


def test_no_tool_that_waits_for_somebody_is_offered() -> None:
    assert not {"CronCreate", "ScheduleWakeup", "SendMessage", "EnterWorktree", "AskUserQuestion"} & set(TOOLS)
    assert {"Bash", "Read", "Write", "Edit"} <= set(TOOLS)


def surroundings(provider: Provider, host: dict[str, str], **options: Any) -> dict[str, str]:  # noqa: ANN401 (as above)
    return environment(ClaudeCodeOptions(provider=provider, **options), GATEWAY, TOKEN, BASE, host)


@pytest.mark.parametrize("provider", ["bedrock", "anthropic"])
def test_nothing_of_a_hostile_host_environment_gets_through(provider: Provider) -> None:
    env = surroundings(provider, HOSTILE)
    assert env.keys() == COMMON | OF_PROVIDER[provider].keys()
    assert SECRET not in json.dumps(env)
    assert {name: env[name] for name in OF_PROVIDER[provider]} == OF_PROVIDER[provider]
    assert {name: env[name] for name in BASE} == BASE
    assert env["PATH"] == "/usr/bin:/bin"
    assert env["CLAUDE_CONFIG_DIR"] == "/run/agent/home/.claude"
    assert env["ANTHROPIC_CUSTOM_HEADERS"] == f"{GATEWAY_TOKEN_HEADER}: {TOKEN}"
    assert env["ANTHROPIC_DEFAULT_HAIKU_MODEL"] == ClaudeCodeOptions(provider=provider).model_id


@pytest.mark.parametrize("provider", ["bedrock", "anthropic"])
def test_an_empty_host_environment_is_enough(provider: Provider) -> None:
    env = surroundings(provider, {})
    assert env.keys() == COMMON | OF_PROVIDER[provider].keys()
    assert env["PATH"] == os.defpath
    assert env["LANG"] == "C.UTF-8"


def test_the_language_the_time_zone_and_public_certificates_are_passed_on() -> None:
    host = {name: f"/host/{name}" for name in PASSED_ON}
    env = surroundings("anthropic", host)
    assert {name: env[name] for name in PASSED_ON} == host
    assert env.keys() == COMMON | OF_PROVIDER["anthropic"].keys() | set(PASSED_ON)


def test_the_prompt_cache_is_disabled_on_request_only() -> None:
    assert "DISABLE_PROMPT_CACHING" not in surroundings("bedrock", {})
    assert surroundings("bedrock", {}, disable_prompt_cache=True)["DISABLE_PROMPT_CACHING"] == "1"


def test_our_own_virtual_environment_is_not_on_the_agents_path() -> None:
    ours = str(Path(sys.prefix) / "bin")
    path = os.pathsep.join(["/usr/local/bin", ours, "", "/usr/bin"])
    assert surroundings("bedrock", {"PATH": path})["PATH"] == "/usr/local/bin:/usr/bin"


def test_the_binary_is_there_and_can_be_executed() -> None:
    assert binary().is_file()
    assert os.access(binary(), os.X_OK)
    assert binary().stat().st_size > 10 * 2**20
