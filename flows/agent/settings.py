"""Builds Claude Code's settings file and chooses its permission mode, from a run's validated `claude_settings`."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

_DEFAULTS: Final[dict[str, Any]] = {
    # Claude Code adds a note to commits and pull requests. The run makes the commit.
    "attribution": {"commit": "", "pr": ""},
    # Memories would be written to a home directory that is removed with the run.
    "autoMemoryEnabled": False,
    # The prompt would hold the git status of the first moment, and rules for commits and pull requests.
    "includeGitInstructions": False,
    # A built-in plugin with which a person changes Claude Code's own interface.
    "enabledPlugins": {"plugin-authoring@builtin": False},
    # The text of a skill can name commands, which would run without the agent's decision.
    "disableSkillShellExecution": True,
}
_DEFAULT_MODE: Final = "acceptEdits"
_BYPASS: Final = "bypassPermissions"
_EVERY_COMMAND: Final = frozenset({"Bash", "Bash(*)"})


def settings_file(settings: dict[str, Any], skills: Path, mcp_servers: Iterable[str] = ()) -> bytes:
    """Return the content of the file for `--settings`: the run's settings, over the defaults of an unattended run.

    The file also permits reading the other files of skills, and using the tools of MCP servers.

    Args:
        settings: The run's `claude_settings`.
        skills: The folder of the skills.
        mcp_servers: The names of the MCP servers.
    """
    permissions = settings.get("permissions", {})
    allow = [*permissions.get("allow", ()), f"Read(/{skills}/**)", *(f"mcp__{name}__*" for name in mcp_servers)]
    return json.dumps({**_DEFAULTS, **settings, "permissions": {**permissions, "allow": allow}}, indent=1).encode()


def permission_mode(settings: dict[str, Any], *, is_isolated: bool) -> str:
    """Return the value for `--permission-mode`.

    With `acceptEdits`, Claude Code refuses to write files such as `.npmrc` and `.vscode/settings.json`, and no rule can
    permit it. An isolated agent that may run every command gets `bypassPermissions` instead, because its shell could
    write the same files anyway. Rules that deny a tool, or ask before its use, still hold.
    """
    permissions = settings.get("permissions", {})
    may_run_everything = bool(_EVERY_COMMAND & set(permissions.get("allow", ())))
    default = _BYPASS if is_isolated and may_run_everything else _DEFAULT_MODE
    return str(permissions.get("defaultMode", default))
