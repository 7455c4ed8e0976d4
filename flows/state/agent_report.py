"""Defines the report of an agent that has finished its work."""

from dataclasses import dataclass, field
from typing import Any

from flows.model.cache_use import CacheUse


@dataclass(frozen=True)
class AgentReport:
    """The agent's last message, and figures about its work. The cost covers all attempts of the run."""

    summary: str
    turns: int
    cost_usd: float
    duration_seconds: float
    session_id: str
    model_usage: dict[str, Any]
    """The token counts of each model, in the format of Claude Code's `modelUsage`."""
    permission_denials: tuple[str, ...]
    """The names of the tools in the denied calls, one name for each call."""
    denied_paths: tuple[str, ...] = ()
    """The files of the work tree that the agent was denied access to, without those that the change contains."""
    cache: CacheUse = field(default_factory=CacheUse)
    """What the provider's prompt cache did for the run, over all attempts."""
