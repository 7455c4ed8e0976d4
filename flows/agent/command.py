"""Claude Code's command line and environment, both built from nothing. Pure."""

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
"""What an unattended agent can use; those that schedule, message, or open another work tree are left out."""

PASSED_ON: Final = (
    "LANG",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
)
"""What the agent gets of the host's environment beside PATH: language, time zone, where public certificates are."""


@dataclass(frozen=True)
class Session:
    """One conversation with Claude Code, and whether it exists already."""

    id: str
    resumes: bool


def binary() -> Path:
    """Return the claude binary that the pinned claude-agent-sdk carries."""
    spec = find_spec("claude_agent_sdk")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("claude-agent-sdk is not installed: pip install -r requirements.lock")
    return Path(spec.origin).parent / "_bundled" / "claude"


def argv(program: Path, options: ClaudeCodeOptions, session: Session, config: Path, instructions: Path) -> list[str]:
    """Return the command line: only what we hand over counts, none of the repository's settings, hooks or servers."""
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
        f"--permission-mode={permission_mode(options.claude_settings)}",
        f"--tools={','.join(TOOLS)}",
        f"--add-dir={instructions}",
        f"--model={options.model_id}",
        *([f"--max-turns={limits.max_turns}"] if limits.max_turns else []),
        f"--resume={session.id}" if session.resumes else f"--session-id={session.id}",
    ]


def environment(
    options: ClaudeCodeOptions, gateway_url: str, gateway_token: str, base: Mapping[str, str], host: Mapping[str, str]
) -> dict[str, str]:
    """Return the agent's whole environment: `base` (its home and mark), the way to the gateway, and nothing of ours."""
    return {
        **{name: host[name] for name in PASSED_ON if name in host},
        **base,
        "PATH": _path(host.get("PATH", os.defpath)),
        "LANG": host.get("LANG", "C.UTF-8"),
        "SHELL": "/bin/bash",
        "CI": "true",
        "GIT_TERMINAL_PROMPT": "0",
        "CLAUDE_CONFIG_DIR": f"{base['HOME']}/.claude",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
        "ANTHROPIC_CUSTOM_HEADERS": f"{GATEWAY_TOKEN_HEADER}: {gateway_token}",
        # Claude Code uses a smaller model for small things; the gateway lets the run's own through and no other.
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": options.model_id,
        **({"DISABLE_PROMPT_CACHING": "1"} if options.disable_prompt_cache else {}),
        **PROVIDERS[options.provider].agent_environment(gateway_url, gateway_token),
    }


def _path(host_path: str) -> str:
    """Return the host's search path without our own virtual environment, whose python is not the repository's."""
    ours = str(Path(sys.prefix) / "bin")
    return os.pathsep.join(folder for folder in host_path.split(os.pathsep) if folder and folder != ours)
