"""Computes what is left of a run's limits for one process of Claude Code, which counts from zero."""

from flows.errors import AgentTimeout, TurnLimitReached
from flows.parameters.claude_code import ClaudeCodeOptions


def options_for_one_process(options: ClaudeCodeOptions, used_turns: int, worked_seconds: float) -> ClaudeCodeOptions:
    """Return the options with only the turns and the time that remain.

    Args:
        options: The run's options for Claude Code.
        used_turns: How many times the model has replied, over all attempts of the run.
        worked_seconds: How long the agent has worked in the rounds that count for `agent_timeout_seconds`.

    Raises:
        TurnLimitReached: No turn is left.
        AgentTimeout: No time is left.
    """
    limits, remaining = options.limits, {}
    if limits.max_turns and used_turns:
        if used_turns >= limits.max_turns:
            raise TurnLimitReached(
                f"the agent used all {limits.max_turns} turns: raise limits.max_turns or reduce the task"
            )
        remaining["max_turns"] = limits.max_turns - used_turns
    if limits.agent_timeout_seconds and worked_seconds:
        if worked_seconds >= limits.agent_timeout_seconds:
            raise AgentTimeout(
                f"the agent has worked for {limits.agent_timeout_seconds} s: raise limits.agent_timeout_seconds or "
                "reduce the task"
            )
        remaining["agent_timeout_seconds"] = max(1, limits.agent_timeout_seconds - int(worked_seconds))
    return options.model_copy(update={"limits": limits.model_copy(update=remaining)}) if remaining else options
