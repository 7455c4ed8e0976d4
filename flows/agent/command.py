"""Builds Claude Code's command line and environment. Only a few variables of the flow's process are inherited."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from flows.agent.final_answer import SCHEMA
from flows.agent.settings import permission_mode
from flows.model.gateway_token import GATEWAY_TOKEN_HEADER
from flows.model.providers import PROVIDERS
from flows.parameters.claude_code import ClaudeCodeOptions
from flows.parameters.limits import LONGEST_COMMAND_SECONDS, Limits
from flows.sandbox.shell import shell_environment

TOOLS: Final = ("Bash", "Edit", "NotebookEdit", "Read", "Skill", "Task", "WebFetch", "Write")
"""Claude Code's tools that the agent may use. None of them schedules work, sends messages or opens other work trees.
The agent searches with its shell."""

MCP_CONFIG: Final = "mcp.json"
"""The name of the file with the block's MCP servers."""

SEARCH_TOOLS: Final = ("Glob", "Grep")
"""The tools with which an agent searches that has no shell. They make each prompt longer, so few runs have them."""

_UNUSED_AGENT_TYPES: Final = ("Agent(Plan)", "Agent(claude)", "Agent(statusline-setup)")
"""Claude Code's own types of subagents that a run has no use for. `Explore` and `general-purpose` remain."""

_SHORT_PROMPT: Final = {
    # This line of the system prompt holds a hash of the first message, so that no two runs would share what follows.
    "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
    # These are for work with a person, such as reviews, charts and Claude Code's own settings.
    "CLAUDE_CODE_DISABLE_BUNDLED_SKILLS": "1",
    # All tools of a run are offered from the start, so that none has to be searched for.
    "ENABLE_TOOL_SEARCH": "false",
}
"""Variables that leave out of the prompt what an unattended run has no use for. `settings_file` turns off the rest."""

_STALL_SECONDS: Final = 900
_REPLIES_PER_STALL: Final = 3
"""Claude Code ends a stalled reply of the model after `limits.stall_timeout_seconds` divided by this number."""

_IDLE_SECONDS: Final = (10, 1800)
"""The smallest and the largest limit, in seconds, that Claude Code accepts for a silence within a reply."""

_DEFAULT_COMMAND_SECONDS: Final = 120
"""Seconds that a shell command may run if the model does not ask for more time. This is Claude Code's own default."""

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
    subagent_tools: Collection[str] = (),
    has_mcp_servers: bool = False,
) -> list[str]:
    """Return Claude Code's command line. Its options turn off the repository's own settings, hooks and MCP servers.

    Args:
        program: The path of Claude Code.
        options: The run's options for Claude Code.
        session: The conversation to start or to resume.
        config: The directory of the settings and of the system prompt.
        instructions: The directory of the instruction files.
        is_isolated: Whether the agent runs as a user of its own.
        subagent_tools: The tools that the repository's subagents name.
        has_mcp_servers: Whether `config` has a file of MCP servers.
    """
    limits = options.limits
    return [
        str(program),
        "-p",
        "--output-format=stream-json",
        "--verbose",
        "--setting-sources=user",
        "--strict-mcp-config",
        *([f"--mcp-config={config / MCP_CONFIG}"] if has_mcp_servers else []),
        f"--settings={config / 'settings.json'}",
        f"--append-system-prompt-file={config / 'system-prompt.md'}",
        f"--json-schema={SCHEMA}",
        # Paths and other facts of this machine are sent in a message instead, so that all runs share the system prompt.
        "--exclude-dynamic-system-prompt-sections",
        f"--permission-mode={permission_mode(options.claude_settings, is_isolated=is_isolated)}",
        f"--tools={','.join(_tools(options, subagent_tools))}",
        f"--disallowedTools={','.join(_UNUSED_AGENT_TYPES)}",
        f"--add-dir={instructions}",
        f"--model={options.model_id}",
        *([f"--effort={options.effort}"] if options.effort else []),
        *([f"--max-turns={limits.max_turns}"] if limits.max_turns else []),
        *([f"--autocompact={limits.context_tokens}"] if limits.context_tokens else []),
        f"--resume={session.id}" if session.resumes else f"--session-id={session.id}",
    ]


def _tools(options: ClaudeCodeOptions, subagent_tools: Collection[str]) -> tuple[str, ...]:
    permissions = options.claude_settings.get("permissions", {})
    searches = "Bash" in permissions.get("deny", ()) or not set(SEARCH_TOOLS).isdisjoint(subagent_tools)
    return (*TOOLS, *SEARCH_TOOLS) if searches else TOOLS


def environment(
    options: ClaudeCodeOptions,
    gateway_url: str,
    gateway_token: str,
    base: Mapping[str, str],
    host: Mapping[str, str],
    *,
    caches_for_an_hour: bool = False,
) -> dict[str, str]:
    """Return all environment variables of the agent's process. None holds a credential of the flow's process.

    Args:
        options: The run's options for Claude Code.
        gateway_url: The address of the model gateway.
        gateway_token: The token that the gateway requires.
        base: `Workspace.agent_variables`, Claude Code's configuration folder, and the variables for the network and of
            `agent_environment`.
        host: The environment of the flow's process. `shell_environment` takes a few variables from it.
        caches_for_an_hour: Whether the provider's prompt cache is used for an hour instead of five minutes.
    """
    return {
        **shell_environment(base, host),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
        **_SHORT_PROMPT,
        "ANTHROPIC_CUSTOM_HEADERS": f"{GATEWAY_TOKEN_HEADER}: {gateway_token}",
        # Claude Code uses a smaller model for small tasks, but the gateway accepts only the run's own model.
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": options.model_id,
        **_patience(options),
        **_caps(options.limits),
        **_prompt_cache(options, caches_for_an_hour=caches_for_an_hour),
        **PROVIDERS[options.provider].agent_environment(gateway_url, gateway_token),
    }


def _prompt_cache(options: ClaudeCodeOptions, *, caches_for_an_hour: bool) -> dict[str, str]:
    if options.disable_prompt_cache:
        return {"DISABLE_PROMPT_CACHING": "1"}
    return {"ENABLE_PROMPT_CACHING_1H": "1"} if caches_for_an_hour else {}


def _caps(limits: Limits) -> dict[str, str]:
    """Return the variables that limit a shell command's time and the length of a reply."""
    command_seconds = limits.command_timeout_seconds or LONGEST_COMMAND_SECONDS
    return {
        "BASH_DEFAULT_TIMEOUT_MS": str(min(command_seconds, _DEFAULT_COMMAND_SECONDS) * 1000),
        "BASH_MAX_TIMEOUT_MS": str(command_seconds * 1000),
        **({"CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(limits.max_output_tokens)} if limits.max_output_tokens else {}),
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
