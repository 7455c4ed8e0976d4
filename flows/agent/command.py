"""Builds Claude Code's command line and environment. Only a few variables of the flow's process are inherited."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from flows.agent.settings import permission_mode
from flows.model.gateway_token import GATEWAY_TOKEN_HEADER
from flows.model.providers import PROVIDERS
from flows.parameters.claude_code import ClaudeCodeOptions

TOOLS: Final = (
    "Bash", "Edit", "Glob", "Grep", "NotebookEdit", "Read", "Skill", "Task", "TaskStop", "TodoWrite", "WebFetch",
    "Write",
)  # fmt: skip
"""Claude Code's tools that the agent may use. None of them schedules work, sends messages or opens other work trees."""

INHERITED_VARIABLES: Final = ("LANG", "TZ")
"""Variables besides PATH that the agent inherits unchanged from the flow's process."""

_STALL_SECONDS: Final = 900
_REPLIES_PER_STALL: Final = 3
"""Claude Code ends a stalled reply of the model after `limits.stall_timeout_seconds` divided by this number."""

_IDLE_SECONDS: Final = (10, 1800)
"""The smallest and the largest limit, in seconds, that Claude Code accepts for a silence within a reply."""

_OVERLOAD_SECONDS: Final = 180
"""Seconds that Claude Code waits for an overloaded model. Then Prefect retries the step, which resumes the session."""


@dataclass(frozen=True)
class Session:
    """One conversation with Claude Code, new or already begun."""

    id: str
    resumes: bool
    """Whether Claude Code must resume the conversation, because it already exists. If not, Claude Code starts it."""


def binary() -> Path:
    """Return the path of the `claude` binary that the pinned claude-agent-sdk contains."""
    spec = find_spec("claude_agent_sdk")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("claude-agent-sdk is not installed: run pip install -r requirements.lock")
    return Path(spec.origin).parent / "_bundled" / "claude"


def argv(
    program: Path,
    options: ClaudeCodeOptions,
    session: Session,
    config: Path,
    instructions: Path,
    *,
    is_isolated: bool,
) -> list[str]:
    """Return Claude Code's command line. Its options turn off the repository's own settings, hooks and MCP servers."""
    limits = options.limits
    return [
        str(program),
        "-p",
        "--output-format=stream-json",
        "--verbose",
        "--setting-sources=user",
        "--strict-mcp-config",
        f"--settings={config / 'settings.json'}",
        f"--append-system-prompt-file={config / 'system-prompt.md'}",
        f"--permission-mode={permission_mode(options.claude_settings, is_isolated=is_isolated)}",
        f"--tools={','.join(TOOLS)}",
        f"--add-dir={instructions}",
        f"--model={options.model_id}",
        *([f"--max-turns={limits.max_turns}"] if limits.max_turns else []),
        f"--resume={session.id}" if session.resumes else f"--session-id={session.id}",
    ]


def environment(
    options: ClaudeCodeOptions, gateway_url: str, gateway_token: str, base: Mapping[str, str], host: Mapping[str, str]
) -> dict[str, str]:
    """Return all environment variables of the agent's process. None holds a credential of the flow's process.

    Args:
        options: The run's options for Claude Code.
        gateway_url: The address of the model gateway.
        gateway_token: The token that the gateway requires.
        base: `Workspace.agent_variables`, Claude Code's configuration folder, and the variables for the network.
        host: The environment of the flow's process. Only PATH and `INHERITED_VARIABLES` are taken from it.
    """
    own_scripts = str(Path(sys.prefix) / "bin")
    folders = host.get("PATH", os.defpath).split(os.pathsep)
    return {
        **{name: host[name] for name in INHERITED_VARIABLES if name in host},
        **base,
        # Without this program's virtual environment, because its Python is not the repository's.
        "PATH": os.pathsep.join(folder for folder in folders if folder and folder != own_scripts),
        "LANG": host.get("LANG", "C.UTF-8"),
        "SHELL": "/bin/bash",
        "CI": "true",
        "GIT_TERMINAL_PROMPT": "0",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
        "ANTHROPIC_CUSTOM_HEADERS": f"{GATEWAY_TOKEN_HEADER}: {gateway_token}",
        # Claude Code uses a smaller model for small tasks, but the gateway accepts only the run's own model.
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": options.model_id,
        **_patience(options),
        **({"DISABLE_PROMPT_CACHING": "1"} if options.disable_prompt_cache else {}),
        **PROVIDERS[options.provider].agent_environment(gateway_url, gateway_token),
    }


def _patience(options: ClaudeCodeOptions) -> dict[str, str]:
    """Return the variables that set how long Claude Code waits for a stalled reply and for an overloaded model.

    Claude Code ends a stalled reply and repeats the request early enough that the run does not end Claude Code as
    stalled. Without its retry watchdog, Claude Code would give up on an overloaded Opus after two seconds.
    """
    stall_seconds = options.limits.stall_timeout_seconds or _STALL_SECONDS
    idle_seconds = min(max(stall_seconds / _REPLIES_PER_STALL, _IDLE_SECONDS[0]), _IDLE_SECONDS[1])
    return {
        "CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS": str(round(idle_seconds * 1000)),
        "CLAUDE_ENABLE_BYTE_WATCHDOG_BEDROCK": "1",
        "CLAUDE_CODE_RETRY_WATCHDOG": "1",
        # Other errors keep Claude Code's usual ten retries, which take three minutes.
        "CLAUDE_CODE_RETRY_WATCHDOG_SCOPE": "capacity",
        "CLAUDE_CODE_RETRY_WATCHDOG_MAX_WAIT_MS": str(_OVERLOAD_SECONDS * 1000),
    }
