"""Claude Code's command line and environment are exactly as specified, and hold none of the host's secrets."""

import json
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from flows.agent.command import TOOLS, Session, argv, binary, environment
from flows.agent.final_answer import SCHEMA
from flows.model.gateway_token import GATEWAY_TOKEN_HEADER
from flows.parameters.claude_code import ClaudeCodeOptions
from flows.parameters.limits import Limits
from flows.parameters.provider import Provider
from flows.sandbox.shell import INHERITED_VARIABLES

SESSION = Session("5985dfbc-f6b7-43dc-be5d-80fab5decab3", resumes=False)
BASE = {
    "HOME": "/run/agent/home",
    "TMPDIR": "/run/agent/tmp",
    "CLAUDE_CODE_HEADLESS_RUN": "/run",
    "CLAUDE_CONFIG_DIR": "/run/claude",
}
GATEWAY = "http://127.0.0.1:4567"
TOKEN = "gateway-token"
SECRET = "do-not-leak"
HOST_VARIABLES = (
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
HOSTILE_ENVIRONMENT = {**dict.fromkeys(HOST_VARIABLES, SECRET), "PATH": "/usr/bin:/bin"}
COMMON_VARIABLES = {
    *BASE,
    "PATH", "LANG", "SHELL", "CI", "GIT_TERMINAL_PROMPT",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS",
    "CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS", "CLAUDE_ENABLE_BYTE_WATCHDOG_BEDROCK", "CLAUDE_CODE_RETRY_WATCHDOG",
    "CLAUDE_CODE_RETRY_WATCHDOG_SCOPE", "CLAUDE_CODE_RETRY_WATCHDOG_MAX_WAIT_MS",
    "CLAUDE_CODE_ATTRIBUTION_HEADER", "CLAUDE_CODE_DISABLE_BUNDLED_SKILLS", "ENABLE_TOOL_SEARCH",
    "ANTHROPIC_CUSTOM_HEADERS", "ANTHROPIC_DEFAULT_HAIKU_MODEL", "BASH_DEFAULT_TIMEOUT_MS", "BASH_MAX_TIMEOUT_MS",
}  # fmt: skip
PROVIDER_VARIABLES: dict[Provider, dict[str, str]] = {
    "anthropic": {"ANTHROPIC_BASE_URL": GATEWAY, "ANTHROPIC_AUTH_TOKEN": TOKEN},
    "bedrock": {
        "CLAUDE_CODE_USE_BEDROCK": "1",
        "CLAUDE_CODE_SKIP_BEDROCK_AUTH": "1",
        "ANTHROPIC_BEDROCK_BASE_URL": GATEWAY,
    },
}


def command_line(
    session: Session = SESSION,
    subagent_tools: Collection[str] = (),
    **options: Any,  # noqa: ANN401 (any field of the options)
) -> list[str]:
    return argv(
        Path("/opt/claude"),
        ClaudeCodeOptions(**options),
        session,
        Path("/run/config"),
        Path("/run/instructions"),
        is_isolated=False,
        subagent_tools=subagent_tools,
    )


def test_the_whole_command_line() -> None:
    limits = Limits(max_turns=7, max_budget_usd=1.5)
    assert command_line(claude_model_id="the-model", limits=limits) == [
        "/opt/claude",
        "-p",
        "--output-format=stream-json",
        "--verbose",
        "--setting-sources=user",
        "--strict-mcp-config",
        "--settings=/run/config/settings.json",
        "--append-system-prompt-file=/run/config/system-prompt.md",
        f"--json-schema={SCHEMA}",
        "--exclude-dynamic-system-prompt-sections",
        "--permission-mode=acceptEdits",
        "--tools=Bash,Edit,NotebookEdit,Read,Skill,Task,WebFetch,Write",
        "--disallowedTools=Agent(Plan),Agent(claude),Agent(statusline-setup)",
        "--add-dir=/run/instructions",
        "--model=the-model",
        "--max-turns=7",
        "--autocompact=200000",
        f"--session-id={SESSION.id}",
    ]


def test_the_file_of_mcp_servers_is_named_only_if_there_are_any() -> None:
    paths = (Path("/opt/claude"), ClaudeCodeOptions(), SESSION, Path("/run/config"), Path("/run/instructions"))
    arguments = argv(*paths, is_isolated=False, has_mcp_servers=True)
    assert [argument for argument in arguments if argument not in command_line()] == [
        "--mcp-config=/run/config/mcp.json"
    ]
    assert "--strict-mcp-config" in arguments


def test_a_session_that_exists_is_resumed_and_a_new_one_gets_its_id() -> None:
    new, old = command_line(Session("abc", resumes=False)), command_line(Session("abc", resumes=True))
    assert "--session-id=abc" in new
    assert "--resume=abc" in old
    assert not [argument for argument in new if argument.startswith("--resume")]
    assert not [argument for argument in old if argument.startswith("--session-id")]


@pytest.mark.parametrize(("limit", "flag"), [("max_turns", "--max-turns="), ("context_tokens", "--autocompact=")])
def test_a_limit_of_zero_omits_its_flag_and_no_other(limit: str, flag: str) -> None:
    arguments = command_line(limits=Limits.model_validate({limit: 0}))
    assert not [argument for argument in arguments if argument.startswith(flag)]
    assert len(arguments) == len(command_line()) - 1
    assert [argument for argument in command_line() if argument.startswith(flag)]


@pytest.mark.parametrize("mode", ["plan", "bypassPermissions"])
def test_the_permission_mode_comes_from_the_settings(mode: str) -> None:
    assert f"--permission-mode={mode}" in command_line(claude_settings={"permissions": {"defaultMode": mode}})


@pytest.mark.parametrize("provider", ["bedrock", "anthropic"])
def test_without_a_model_id_the_providers_default_is_used(provider: Provider) -> None:
    assert f"--model={ClaudeCodeOptions(provider=provider).model_id}" in command_line(provider=provider)


@pytest.mark.parametrize(
    ("stall_seconds", "idle_ms"), [(900, "300000"), (0, "300000"), (5, "10000"), (60, "20000"), (100_000, "1800000")]
)
def test_a_stalled_reply_is_ended_before_the_run_ends_the_agent(stall_seconds: int, idle_ms: str) -> None:
    options = ClaudeCodeOptions(limits=Limits(stall_timeout_seconds=stall_seconds))
    variables = environment(options, GATEWAY, TOKEN, {"HOME": "/home/agent"}, {})
    assert variables["CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS"] == idle_ms


@pytest.mark.parametrize(
    ("seconds", "default_ms", "max_ms"),
    [(600, "120000", "600000"), (1800, "120000", "1800000"), (30, "30000", "30000"), (0, "120000", "2000000000")],
)
def test_a_shell_command_gets_the_time_that_the_limit_says(seconds: int, default_ms: str, max_ms: str) -> None:
    variables = agent_environment("bedrock", {}, limits=Limits(command_timeout_seconds=seconds))
    assert (variables["BASH_DEFAULT_TIMEOUT_MS"], variables["BASH_MAX_TIMEOUT_MS"]) == (default_ms, max_ms)


def test_the_length_of_a_reply_and_the_effort_are_set_on_request_only() -> None:
    assert "CLAUDE_CODE_MAX_OUTPUT_TOKENS" not in agent_environment("bedrock", {})
    limits = Limits(max_output_tokens=9000)
    assert agent_environment("bedrock", {}, limits=limits)["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "9000"
    assert not [argument for argument in command_line() if argument.startswith("--effort")]
    assert "--effort=max" in command_line(effort="max")


def test_no_tool_that_waits_for_a_person_is_offered() -> None:
    assert not {"CronCreate", "ScheduleWakeup", "SendMessage", "EnterWorktree", "AskUserQuestion"} & set(TOOLS)
    assert {"Bash", "Read", "Write", "Edit"} <= set(TOOLS)


@pytest.mark.parametrize(
    ("deny", "searches"), [([], False), (["Bash(rm *)"], False), (["WebFetch", "Bash"], True)], ids=str
)
def test_an_agent_without_a_shell_gets_the_search_tools(deny: list[str], searches: bool) -> None:
    [tools] = [word for word in command_line(claude_settings={"permissions": {"deny": deny}}) if "--tools=" in word]
    assert ({"Glob", "Grep"} <= set(tools.removeprefix("--tools=").split(","))) is searches


@pytest.mark.parametrize(
    ("named", "searches"), [(["Read"], False), (["Read", "Grep"], True), (["Glob"], True)], ids=["read", "grep", "glob"]
)
def test_a_run_whose_subagents_name_the_search_tools_gets_them(named: list[str], searches: bool) -> None:
    [tools] = [word for word in command_line(subagent_tools=named) if "--tools=" in word]
    assert ({"Glob", "Grep"} <= set(tools.removeprefix("--tools=").split(","))) is searches


def agent_environment(provider: Provider, host: dict[str, str], **options: Any) -> dict[str, str]:  # noqa: ANN401 (as above)
    return environment(ClaudeCodeOptions(provider=provider, **options), GATEWAY, TOKEN, BASE, host)


@pytest.mark.parametrize("provider", ["bedrock", "anthropic"])
def test_a_hostile_host_environment_does_not_reach_the_agent(provider: Provider) -> None:
    variables = agent_environment(provider, HOSTILE_ENVIRONMENT)
    assert variables.keys() == COMMON_VARIABLES | PROVIDER_VARIABLES[provider].keys()
    assert SECRET not in json.dumps(variables)
    assert {name: variables[name] for name in PROVIDER_VARIABLES[provider]} == PROVIDER_VARIABLES[provider]
    assert {name: variables[name] for name in BASE} == BASE
    assert variables["PATH"] == "/usr/bin:/bin"
    assert variables["ANTHROPIC_CUSTOM_HEADERS"] == f"{GATEWAY_TOKEN_HEADER}: {TOKEN}"
    assert variables["ANTHROPIC_DEFAULT_HAIKU_MODEL"] == ClaudeCodeOptions(provider=provider).model_id


@pytest.mark.parametrize("provider", ["bedrock", "anthropic"])
def test_an_empty_host_environment_is_sufficient(provider: Provider) -> None:
    variables = agent_environment(provider, {})
    assert variables.keys() == COMMON_VARIABLES | PROVIDER_VARIABLES[provider].keys()
    assert variables["PATH"] == os.defpath
    assert variables["LANG"] == "C.UTF-8"


def test_language_and_time_zone_are_inherited() -> None:
    host = {name: f"/host/{name}" for name in INHERITED_VARIABLES}
    variables = agent_environment("anthropic", host)
    assert {name: variables[name] for name in INHERITED_VARIABLES} == host
    assert variables.keys() == COMMON_VARIABLES | PROVIDER_VARIABLES["anthropic"].keys() | set(INHERITED_VARIABLES)


def test_the_prompt_cache_is_disabled_on_request_only() -> None:
    assert "DISABLE_PROMPT_CACHING" not in agent_environment("bedrock", {})
    assert agent_environment("bedrock", {}, disable_prompt_cache=True)["DISABLE_PROMPT_CACHING"] == "1"


def test_the_prompt_cache_lasts_for_an_hour_on_request_only() -> None:
    assert "ENABLE_PROMPT_CACHING_1H" not in agent_environment("bedrock", {})
    options = ClaudeCodeOptions()
    variables = environment(options, GATEWAY, TOKEN, BASE, {}, caches_for_an_hour=True)
    assert variables["ENABLE_PROMPT_CACHING_1H"] == "1"
    disabled = options.model_copy(update={"disable_prompt_cache": True})
    variables = environment(disabled, GATEWAY, TOKEN, BASE, {}, caches_for_an_hour=True)
    assert variables.keys() & {"ENABLE_PROMPT_CACHING_1H", "DISABLE_PROMPT_CACHING"} == {"DISABLE_PROMPT_CACHING"}


def test_this_programs_virtual_environment_is_not_on_the_agents_path() -> None:
    own_scripts = str(Path(sys.prefix) / "bin")
    path = os.pathsep.join(["/usr/local/bin", own_scripts, "", "/usr/bin"])
    assert agent_environment("bedrock", {"PATH": path})["PATH"] == "/usr/local/bin:/usr/bin"


def test_the_binary_exists_and_is_executable() -> None:
    assert binary().is_file()
    assert os.access(binary(), os.X_OK)
    assert binary().stat().st_size > 10 * 2**20
