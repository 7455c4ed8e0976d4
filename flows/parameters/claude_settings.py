"""Checks the parameter `claude_settings`, because a run may use only some of Claude Code's settings.

https://docs.claude.com/en/docs/claude-code/settings lists the keys. A run may use settings that affect only how the
agent works. A setting that names a program to run, an address or an environment needs the operator's permission.
"""

import json
import os
import re
from collections.abc import Sequence
from typing import Any, Final

from flows.errors import InvalidSettings
from flows.redaction import strip

DEFAULT_SETTINGS: Final[dict[str, Any]] = {"permissions": {"allow": ["Bash(*)"]}}

ALLOWED_KEYS_VARIABLE: Final = "CLAUDE_SETTINGS_ALLOWED_KEYS"
"""The environment variable, in the flow's process, that lists further keys that runs may use, separated by commas."""

ALLOWED_KEYS: Final = frozenset(
    {
        "$schema",
        "alwaysThinkingEnabled",
        "attribution",
        "autoCompactEnabled",
        "autoMemoryEnabled",
        "cleanupPeriodDays",
        "companyAnnouncements",
        "effortLevel",
        "includeCoAuthoredBy",
        "includeGitInstructions",
        "language",
        "outputStyle",
        "permissions",
        "respectGitignore",
        "showThinkingSummaries",
        "skipWebFetchPreflight",
    }
)
_PERMISSION_LISTS: Final = ("allow", "deny", "ask", "additionalDirectories")
_WRITE_PATH: Final = re.compile(r"(?:Write|MultiEdit|NotebookEdit)\((.*[^*].*)\)", re.DOTALL)
_PERMISSION_MODES: Final = ("default", "acceptEdits", "plan", "bypassPermissions", "dontAsk")


def check_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return `settings` if a run may use them; raise `InvalidSettings` with the first key that is not allowed."""
    allowed = ALLOWED_KEYS | set(strip(os.environ.get(ALLOWED_KEYS_VARIABLE, "")).replace(",", " ").split())
    for key in settings:
        if key not in allowed:
            raise InvalidSettings(
                f"claude_settings: {key!r} is not a setting that a run may use; the operator can allow it with "
                f"{ALLOWED_KEYS_VARIABLE}={key}"
            )
    _check_permissions(settings.get("permissions", {}))
    return settings


def _check_permissions(permissions: object) -> None:
    if not isinstance(permissions, dict):
        raise InvalidSettings('claude_settings: "permissions" is not an object such as {"allow": ["Bash(*)"]}')
    for key, value in permissions.items():
        if key in _PERMISSION_LISTS:
            if not isinstance(value, list) or not all(isinstance(rule, str) and rule for rule in value):
                raise InvalidSettings(f'claude_settings: "permissions.{key}" is not a list of rules such as "Bash(*)"')
            if key == "deny":
                _check_denials(value)
        elif key == "defaultMode":
            if value not in _PERMISSION_MODES:
                modes = ", ".join(_PERMISSION_MODES)
                raise InvalidSettings(f'claude_settings: "permissions.defaultMode" is not one of {modes}')
        else:
            raise InvalidSettings(f'claude_settings: "permissions.{key}" is not a setting that a run may use')


def _check_denials(rules: Sequence[str]) -> None:
    """Raise `InvalidSettings` if a rule names a path to deny, but has no effect.

    A path is denied only by a rule for the tool Edit. Claude Code applies such a rule to all its editing tools, and
    ignores the paths in rules for the others.
    """
    for rule in rules:
        if path := _WRITE_PATH.fullmatch(rule):
            raise InvalidSettings(
                f'claude_settings: "{rule}" in "permissions.deny" denies nothing in Claude Code: '
                f'write "Edit({path[1]})"'
            )


def parse_settings(text: str) -> dict[str, Any]:
    """Return the settings from a variable's text, which is JSON; raise `InvalidSettings` if it is not a JSON object."""
    try:
        settings = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidSettings(f"claude_settings is not JSON: {error}") from None
    if not isinstance(settings, dict):
        raise InvalidSettings('claude_settings is not a JSON object such as {"permissions": {"allow": ["Bash(*)"]}}')
    return settings


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not a JSON number")
