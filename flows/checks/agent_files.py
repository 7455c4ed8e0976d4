"""Refuses changes to settings that make coding agents or editors start programs when the repository is opened."""

from typing import Final

from flows.checks.base import Inspection, matches
from flows.errors import AgentFilesChanged

_PATTERNS: Final = (
    ".claude/*", ".mcp.json", ".claude.json", ".cursor/*", ".codex/*", ".gemini/*", ".vscode/tasks.json",
    ".vscode/mcp.json", ".claude-code-headless.y*ml",
)  # fmt: skip


def check_agent_files(inspection: Inspection) -> None:
    """Raise `AgentFilesChanged` for changed settings of agents or editors, unless `allow_agent_files` is set."""
    files = inspection.name_files(lambda file: matches(file, _PATTERNS))
    if files and not inspection.policy.allow_agent_files:
        raise AgentFilesChanged(
            "the change touches files that make agents and editors run programs when they open the repository: "
            f"{files}: set policy.allow_agent_files if that is wanted"
        )
