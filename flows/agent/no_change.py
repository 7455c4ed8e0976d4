"""Decides whether an agent changed nothing because there was nothing to change, or because something stopped it."""

import os
from pathlib import Path, PurePath
from typing import Any, Final

from flows.agent.last_words import mentions_denial
from flows.agent.settings import permission_mode
from flows.errors import AgentDenied
from flows.parameters.claude_code import ClaudeCodeOptions
from flows.state.agent_report import AgentReport

_NAMES_MAX: Final = 5
_BYPASS: Final = 'set claude_settings.permissions.defaultMode="bypassPermissions"'
_REMOVE_RULE: Final = "a rule in claude_settings.permissions.deny or .ask forbids the call, so remove that rule"


def paths_in_work_tree(paths: tuple[str, ...], work_tree: Path) -> tuple[str, ...]:
    """Return the paths that lie in the work tree, but not in its `.git`, as paths relative to the work tree."""
    roots = (work_tree, work_tree.resolve())
    # In this join, an absolute path replaces the work tree.
    absolute = [PurePath(os.path.normpath(work_tree / path)) for path in paths]
    relative = (path.relative_to(root) for path in absolute for root in roots if path.is_relative_to(root))
    return tuple(dict.fromkeys(str(path) for path in relative if path.parts and path.parts[0] != ".git"))


def check_no_change(report: AgentReport, options: ClaudeCodeOptions, *, is_isolated: bool) -> None:
    """Raise an error if an agent changed nothing because a tool call was denied.

    A denied call that names no file in the work tree counts only if the agent's last message says that something could
    not be done.

    Raises:
        AgentDenied: The agent was not permitted to do its work.
    """
    if report.permission_denials and (report.denied_paths or mentions_denial(report.summary)):
        denied = _names(sorted(set(report.permission_denials)))
        files = f" for {_names(report.denied_paths)}" if report.denied_paths else ""
        advice = denial_advice(options.claude_settings, is_isolated=is_isolated)
        raise AgentDenied(f"the agent changed nothing, and was denied {denied}{files}: {advice}")


def denial_advice(settings: dict[str, Any], *, is_isolated: bool) -> str:
    """Return a phrase that says how to change the settings so that the denied calls are allowed."""
    permissions = settings.get("permissions", {})
    if permission_mode(settings, is_isolated=is_isolated) != "bypassPermissions":
        rules = f" ({_REMOVE_RULE})" if permissions.get("deny") or permissions.get("ask") else ""
        return f"{_BYPASS}{rules}"
    return _REMOVE_RULE


def _names(names: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(names) - _NAMES_MAX} more" if len(names) > _NAMES_MAX else ""
    return f"{', '.join(names[:_NAMES_MAX])}{more}"
