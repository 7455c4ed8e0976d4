"""Checks the variables in a Claude Code block's `agent_environment`: the secrets that the agent gets on purpose.

A variable must not change how Claude Code reaches the model, which rights the agent has, or what git and the shell do.
Names that could do so are refused. See docs/adr/0029-secrets-for-the-agent.md.
"""

import re
from collections.abc import Mapping
from typing import Final

from pydantic import SecretStr

from flows.errors import InvalidBlock
from flows.redaction import SHORTEST_SECRET, is_proxy, strip
from flows.text_safety import is_encodable

AGENT_ENVIRONMENT: Final = "agent_environment"
_MAX_BYTES: Final = 100_000
"""The most bytes that all variables may have together. The kernel accepts 128 KiB in one variable."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OBSCURED: Final = re.compile(r"\*+")
"""Matches what Prefect's UI shows in place of a secret value."""

_RESERVED: Final = tuple(
    (re.compile(names), reason)
    for names, reason in (
        ("PATH|HOME|SHELL|TMPDIR|PWD|OLDPWD|USER|LOGNAME|CI", "each run sets it"),
        (
            "LANG|LC_.*|TZ|SSL_CERT_(FILE|DIR)|NODE_EXTRA_CA_CERTS|(REQUESTS|CURL)_CA_BUNDLE|PIP_CERT",
            "the agent inherits it from the flow's process, so set it there",
        ),
        (
            "(LD|DYLD|LIBC|GLIBC|MALLOC)_.*|GCONV_PATH|GETCONF_DIR|HOSTALIASES|LOCALDOMAIN|LOCPATH|NIS_PATH|NLSPATH"
            "|RESOLV_HOST_CONF|RES_OPTIONS|TZDIR",
            "the system's libraries read it in the programs that start the agent, before these drop their rights",
        ),
        (
            "BASH_.*|BASHOPTS|SHELLOPTS|ENV|IFS|CDPATH|GLOBIGNORE|POSIXLY_CORRECT|PROMPT_COMMAND|PS[0-4]",
            "it changes what every shell command does",
        ),
        ("GIT_.*", "it changes what git does in the work tree"),
        (
            "AWS_.*|CLOUD_ML_.*|VERTEX_.*",
            "Claude Code reads it to reach the model; use another name, and set it in the one command that needs it",
        ),
        (
            "(ANTHROPIC|CLAUDE|CLAUDECODE|DISABLE|ENABLE|MAX|MCP)(_.*)?|API_(FORCE_IDLE_)?TIMEOUT(_MS)?|IS_SANDBOX"
            "|(BETA_TRACING|CCR|SELF_HOSTED_RUNNER|SESSION_INGRESS|SLASH_COMMAND|SRT)_.*|USE_(BUILTIN_RIPGREP|.*_OAUTH)"
            "|BUN_(OPTIONS|BE_BUN|INSPECT.*|JSC_.*)|NODE_(OPTIONS|TLS_.*)",
            "it changes what Claude Code does",
        ),
    )
)
"""Patterns of reserved names in capitals, each with the reason why the agent cannot get such a variable."""


def checked_variables(values: Mapping[str, object]) -> dict[str, SecretStr]:
    """Return the variables in a block's `agent_environment`; raise `InvalidBlock` for the first that is unusable.

    White space around a value of one line is removed, because it is part of no token. The message quotes no value.
    """
    variables = {}
    for name, value in values.items():
        _check_name(name)
        variables[name] = SecretStr(_checked_value(name, value))
    size = sum(len(name) + len(value.get_secret_value().encode()) for name, value in variables.items())
    if size > _MAX_BYTES:
        raise InvalidBlock(f"{AGENT_ENVIRONMENT} has {size:,} bytes: give at most {_MAX_BYTES:,}")
    return variables


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidBlock(
            f"{AGENT_ENVIRONMENT}: {name!r} is not the name of a variable: use letters, digits and underscores, and no "
            "digit first"
        )
    if reason := _reason_to_refuse(name.upper()):
        raise InvalidBlock(f"{AGENT_ENVIRONMENT}: the agent cannot get the variable {name}: {reason}")


def _reason_to_refuse(name: str) -> str:
    if is_proxy(name) or name == "NO_PROXY":
        return "Claude Code would send its requests to the model through this proxy"
    return next((reason for names, reason in _RESERVED if names.fullmatch(name)), "")


def _checked_value(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidBlock(f"{AGENT_ENVIRONMENT}: the value of {name} is not a text: put it in quotes")
    if "\0" in value or not is_encodable(value):
        raise InvalidBlock(
            f"{AGENT_ENVIRONMENT}: the value of {name} contains a NUL byte or is not valid text: store it again"
        )
    trimmed = value.strip()
    if _OBSCURED.fullmatch(trimmed):
        raise InvalidBlock(
            f"{AGENT_ENVIRONMENT}: the value of {name} consists of asterisks, which hide a secret: store it again"
        )
    if len(strip(value)) < SHORTEST_SECRET:
        raise InvalidBlock(
            f"{AGENT_ENVIRONMENT}: the value of {name} has fewer than {SHORTEST_SECRET} characters, and a text that "
            "short cannot be kept out of logs: use a longer secret; if it is no secret, set it in the repository's own "
            "scripts"
        )
    return value if "\n" in trimmed else trimmed
