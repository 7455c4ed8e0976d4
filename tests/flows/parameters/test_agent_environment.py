"""The variables of `agent_environment`: which names and values a block may have."""

import json
from collections.abc import Mapping

import pytest
from pydantic import SecretStr

from flows.agent.command import environment
from flows.errors import InvalidBlock
from flows.parameters.agent_environment import checked_variables
from flows.parameters.claude_code import ClaudeCodeOptions
from flows.parameters.limits import Limits
from flows.parameters.provider import DEFAULT_MODEL_IDS
from flows.redaction import REDACTED, Secrets
from flows.sandbox.shell import INHERITED_VARIABLES

VALUE = "hush-hush"


def revealed(values: Mapping[str, object]) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in checked_variables(values).items()}


def refusal(values: Mapping[str, object]) -> str:
    with pytest.raises(InvalidBlock) as raised:
        checked_variables(values)
    assert str(raised.value).startswith("agent_environment")
    return str(raised.value)


@pytest.mark.parametrize(
    "name",
    [
        "NPM_TOKEN", "NODE_AUTH_TOKEN", "npm_config__auth", "PIP_INDEX_URL", "UV_INDEX_ACME_PASSWORD", "DATABASE_URL",
        "PGPASSWORD", "GITHUB_TOKEN", "GITLAB_TOKEN", "CARGO_REGISTRIES_ACME_TOKEN", "BUN_AUTH_TOKEN", "_", "a1",
        "MAXMIND_KEY", "ENVOY_TOKEN", "CIRCLE_TOKEN", "PATHFINDER_KEY", "MCPROXY_TOKEN",
    ],
)  # fmt: skip
def test_a_variable_for_the_build_is_accepted(name: str) -> None:
    assert revealed({name: VALUE}) == {name: VALUE}


@pytest.mark.parametrize("provider", sorted(DEFAULT_MODEL_IDS))
def test_every_variable_that_the_run_itself_sets_is_refused(provider: str) -> None:
    options = ClaudeCodeOptions(
        provider=provider, disable_prompt_cache=True, limits=Limits(max_output_tokens=9000), effort="low"
    )
    base = {"HOME": "/h", "TMPDIR": "/t", "CLAUDE_CODE_HEADLESS_RUN": "/r"}
    variables = environment(options, "http://127.0.0.1:1", "token", base, dict.fromkeys(INHERITED_VARIABLES, "/x"))
    for name in {*variables, *INHERITED_VARIABLES}:
        assert f"the agent cannot get the variable {name}: " in refusal({name: VALUE})


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("LD_PRELOAD", "drop their rights"), ("LD_LIBRARY_PATH", "drop their rights"), ("GCONV_PATH", "drop"),
        ("GLIBC_TUNABLES", "drop their rights"), ("BASH_ENV", "every shell command"), ("ENV", "every shell command"),
        ("BASH_FUNC_ls", "every shell command"), ("GIT_CONFIG_COUNT", "git"), ("GIT_SSH_COMMAND", "git"),
        ("GIT_ASKPASS", "git"), ("ANTHROPIC_API_KEY", "Claude Code"), ("ANTHROPIC_BASE_URL", "Claude Code"),
        ("CLAUDE_CODE_OAUTH_TOKEN", "Claude Code"), ("CLAUDECODE", "Claude Code"), ("DISABLE_TELEMETRY", "Claude Code"),
        ("MAX_THINKING_TOKENS", "Claude Code"), ("MCP_TIMEOUT", "Claude Code"), ("NODE_OPTIONS", "Claude Code"),
        ("NODE_TLS_REJECT_UNAUTHORIZED", "Claude Code"), ("BUN_OPTIONS", "Claude Code"), ("BUN_BE_BUN", "Claude Code"),
        ("AWS_SECRET_ACCESS_KEY", "use another name"), ("AWS_BEARER_TOKEN_BEDROCK", "use another name"),
        ("HTTPS_PROXY", "proxy"), ("http_proxy", "proxy"), ("ALL_PROXY", "proxy"), ("no_proxy", "proxy"),
        ("Path", "each run sets it"),
    ],
)  # fmt: skip
def test_a_variable_that_reaches_further_than_the_build_is_refused_with_the_reason(name: str, reason: str) -> None:
    assert reason in refusal({"NPM_TOKEN": VALUE, name: VALUE})


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A=B", "A\0B", "A\nB", "É", "A.B", "\ud83d"])
def test_a_name_that_no_shell_accepts_is_refused(name: str) -> None:
    assert "is not the name of a variable" in refusal({name: VALUE})


@pytest.mark.parametrize("value", ["", " \n", "1234567", "  seven77 ", '"seven77"', "\ufeffseven77"])
def test_a_value_that_is_too_short_to_redact_is_refused(value: str) -> None:
    message = refusal({"PIN": value})
    assert "PIN has fewer than 8 characters" in message
    assert "seven77" not in message


@pytest.mark.parametrize("value", [None, 12345678, True, ["hush-hush"], {"hush-hush": 1}])
def test_a_value_that_is_not_a_text_is_refused_without_showing_it(value: object) -> None:
    message = refusal({"PORT": value})
    assert "PORT is not a text" in message
    assert "hush" not in message


@pytest.mark.parametrize("value", ["hush-hush\0", "hush-hush\ud83d"])
def test_a_value_that_no_environment_can_hold_is_refused_without_showing_it(value: str) -> None:
    assert "hush" not in refusal({"TOKEN": value})


def test_what_the_form_shows_in_place_of_a_secret_is_no_secret() -> None:
    assert "hide a secret" in refusal({"TOKEN": "********"})


@pytest.mark.parametrize("value", ["hush-hush\n", "\r\nhush-hush", " hush-hush "])
def test_white_space_around_a_token_is_removed(value: str) -> None:
    assert revealed({"TOKEN": value}) == {"TOKEN": VALUE}


def test_a_value_of_several_lines_is_passed_on_unchanged_and_redacted_line_by_line() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\nw0BAQEFAASCBKcwggSj\n-----END KEY-----\n"
    variables = revealed({"SIGNING_KEY": key})
    assert variables == {"SIGNING_KEY": key}
    secrets = Secrets()
    secrets.learn("it", variables["SIGNING_KEY"], is_for_agent=True)
    assert secrets.redact("see w0BAQEFAASCBKcwggSj") == f"see {REDACTED}"
    assert secrets.redact(json.dumps(key)) == f'"{REDACTED}\\n"'


def test_more_than_the_kernel_takes_is_refused() -> None:
    assert revealed({"A": "a" * 60_000})
    assert "120,002 bytes" in refusal({"A": "a" * 60_000, "B": "b" * 60_000})
    assert "bytes" in refusal({"A": "é" * 60_000})


def test_the_values_are_not_shown() -> None:
    variables = checked_variables({"TOKEN": VALUE})
    assert variables == {"TOKEN": SecretStr(VALUE)}
    assert VALUE not in repr(variables)
