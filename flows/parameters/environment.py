"""The environment variables of `python -m flows`: which parameter of the flow each one sets, and how it is read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from flows.errors import RunError
from flows.model.providers import PROVIDERS
from flows.parameters.claude_settings import parse_settings
from flows.parameters.provider import DEFAULT_PROVIDER
from flows.parameters.request import DEFAULT_SECRET_ID, DEFAULT_SETTINGS, ChangePolicy, Limits

_PROVIDER_IDS: Final = " or ".join(PROVIDERS)


class InvalidVariable(RunError):
    """An environment variable is missing, or its value cannot be read."""


def _flag(text: str) -> bool:
    if text.lower() not in {"true", "false", ""}:
        raise ValueError("it must be true or false")
    return text.lower() == "true"


def _provider(text: str) -> str:
    if text not in PROVIDERS:
        raise ValueError(f"it must be {_PROVIDER_IDS}")
    return text


def _patterns(text: str) -> tuple[str, ...]:
    return tuple(pattern.strip() for pattern in text.split(",") if pattern.strip())


@dataclass(frozen=True)
class Variable:
    """An environment variable, and the parameter of the flow that it sets."""

    name: str
    parameter: str
    read: Callable[[str], Any]
    help: str


VARIABLES: Final = (
    Variable("REPO_URL", "repo_url", str, "https URL of the git repository. Required"),
    Variable(
        "INSTRUCTIONS_S3_URI", "instructions_s3_uri", str, "s3://bucket/file.md or s3://bucket/folder/*. Required"
    ),
    Variable("INSTRUCTIONS", "instructions", str, "The instructions' text, in place of INSTRUCTIONS_S3_URI"),
    Variable("BRANCH_NAME", "branch_name", str, "Branch to push [feature/claude-implementation-{timestamp}-{run}]"),
    Variable("BASE_BRANCH", "base_branch", str, "Branch to start from [the default branch]"),
    Variable("COMMIT_MESSAGE", "commit_message", str, "[Implement requirements using Claude Code]"),
    Variable("GIT_CREDENTIALS_SECRET_ID", "git_credentials_secret_id", str, f"AWS secret [{DEFAULT_SECRET_ID}]"),
    Variable("GIT_CREDENTIALS_BLOCK", "git_credentials_block", str, "Prefect block, in place of the secret"),
    Variable("CLAUDE_PROVIDER", "provider", _provider, f"{_PROVIDER_IDS} [{DEFAULT_PROVIDER}]"),
    Variable("CLAUDE_MODEL_ID", "claude_model_id", str, "Model id [the current Sonnet]"),
    Variable("DISABLE_PROMPT_CACHE", "disable_prompt_cache", _flag, "true or false [false]"),
    Variable("AWS_REGION", "aws_region", str, "AWS region [us-east-1]"),
    Variable("CLAUDE_SETTINGS", "claude_settings", parse_settings, f"JSON [{DEFAULT_SETTINGS}]".replace("'", '"')),
    Variable("CLAUDE_CODE_BLOCK", "claude_code_block", str, "Prefect block with provider, model and limits"),
    Variable("CLONE_DEPTH", "clone_depth", int, "Commits of history, 0 for all [50]"),
    Variable("ALLOW_DEFAULT_BRANCH", "allow_default_branch", _flag, "true or false [false]"),
)
LIMITS: Final = (
    Variable("MAX_TURNS", "max_turns", int, "Replies of the model, 0 for no limit [200]"),
    Variable("MAX_BUDGET_USD", "max_budget_usd", float, "US dollars, 0 for no limit [20]"),
    Variable("AGENT_TIMEOUT_SECONDS", "agent_timeout_seconds", int, "Seconds of work, 0 for no limit [7200]"),
    Variable("STALL_TIMEOUT_SECONDS", "stall_timeout_seconds", int, "Seconds of silence, 0 for no limit [900]"),
    Variable("CHECKPOINT_SECONDS", "checkpoint_seconds", int, "Seconds between checkpoints, 0 for none [60]"),
)
POLICY: Final = (
    Variable("ALLOW_CI_CHANGES", "allow_ci_changes", _flag, "Push changes to CI files: true or false [false]"),
    Variable("ALLOW_AGENT_FILES", "allow_agent_files", _flag, "Push .claude/, .mcp.json…: true or false [false]"),
    Variable("ALLOW_SUBMODULES", "allow_submodules", _flag, "Push changes to submodules: true or false [false]"),
    Variable("ALLOW_OUTSIDE_LINKS", "allow_outside_links", _flag, "Push links that lead out: true or false [false]"),
    Variable("ALLOW_SECRETS_IN", "allow_secrets_in", _patterns, "Paths that may hold secrets, a comma between [none]"),
    Variable("MAX_FILE_MB", "max_file_mb", int, "Megabytes of a file, 0 for no limit [100]"),
    Variable("MAX_DELETED_SHARE", "max_deleted_share", float, "Share of the files that may be deleted [0.5]"),
)


def table() -> str:
    """Return the variables with a line of help each."""
    return "\n".join(f"  {variable.name:<26} {variable.help}" for variable in (*VARIABLES, *LIMITS, *POLICY))


def parameters(environment: Mapping[str, str]) -> dict[str, Any]:
    """Read the flow's parameters; raise `InvalidVariable` naming the first variable that is missing or wrong."""
    given = _read(VARIABLES, environment)
    if "repo_url" not in given:
        raise InvalidVariable("REPO_URL is not set: give the https URL of the git repository")
    if "instructions_s3_uri" not in given and "instructions" not in given:
        raise InvalidVariable("INSTRUCTIONS_S3_URI is not set: give s3://bucket/file.md or s3://bucket/folder/*")
    groups = {"limits": _group(Limits, LIMITS, environment), "policy": _group(ChangePolicy, POLICY, environment)}
    return {**given, **groups}


def _group(model: type[BaseModel], variables: tuple[Variable, ...], environment: Mapping[str, str]) -> BaseModel:
    try:
        return model(**_read(variables, environment))
    except ValidationError as error:
        wrong = error.errors()[0]
        raise InvalidVariable(f"{str(wrong['loc'][0]).upper()} cannot be used: {wrong['msg']}") from None


def _read(variables: tuple[Variable, ...], environment: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    for variable in variables:
        if text := environment.get(variable.name, ""):
            try:
                values[variable.parameter] = variable.read(text)
            except (ValueError, RunError) as error:
                raise InvalidVariable(f"{variable.name} cannot be used: {error}") from None
    return values


def with_variables(message: str) -> str:
    """Name the variable where a message names the parameter: that is what this caller has set."""
    for group, variables in (("limits.", LIMITS), ("policy.", POLICY), ("", VARIABLES)):
        for variable in variables:
            if group or "_" in variable.parameter:
                message = re.sub(rf"\b{re.escape(group)}{variable.parameter}\b", variable.name, message)
    return message
