"""The report of an agent that has finished its work."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AgentReport:
    """The agent's last message, and its counts over all attempts of the run."""

    summary: str
    turns: int
    cost_usd: float
    duration_seconds: float
    session_id: str
    model_usage: dict[str, Any]
    """Claude Code's `modelUsage`: token counts by model."""
    permission_denials: tuple[str, ...]
    """The names of the tools that were denied, one for each denial."""
    denied_paths: tuple[str, ...] = ()
    """The files of the work tree that denied calls named, and that the change does not contain."""
