"""Defines the parameter group `limits`, which says how much a run may use before it stops."""

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_LEAST_CONTEXT_TOKENS: Final = 100_000
"""The smallest limit that Claude Code accepts. It takes a number below 1,000 as thousands."""

LONGEST_COMMAND_SECONDS: Final = 2_000_000
"""The longest time that a shell command can get, about 23 days. A timer of Claude Code cannot run much longer."""


def _check_context_tokens(tokens: int) -> int:
    if 0 < tokens < _LEAST_CONTEXT_TOKENS:
        raise ValueError(f"give at least {_LEAST_CONTEXT_TOKENS} tokens, or 0 for Claude Code's own limit")
    return tokens


class Limits(BaseModel):
    """Limits on a run's turns, cost and time. The run stops when it reaches one of them; 0 means no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_turns: int = Field(
        default=200, ge=0, title="Turns", description="How many times the model may reply; 0 for no limit."
    )
    max_budget_usd: float = Field(
        default=20.0,
        ge=0,
        title="Budget in US dollars",
        description="How many US dollars the model may cost, at list prices; 0 for no limit. "
        "When the budget is spent, no further request is sent.",
    )
    agent_timeout_seconds: int = Field(
        default=7200,
        ge=0,
        title="Seconds of work",
        description="How many seconds the agent may work; 0 for no limit.",
    )
    stall_timeout_seconds: int = Field(
        default=900,
        ge=0,
        title="Seconds of silence",
        description="How many seconds the agent may go without output; 0 for no limit. While it runs a shell command, "
        "it may be silent for as long as the command may run.",
    )
    command_timeout_seconds: int = Field(
        default=600,
        ge=0,
        le=LONGEST_COMMAND_SECONDS,
        title="Seconds for a shell command",
        description="How many seconds a single shell command of the agent, or a verify command, may run; 0 for no "
        "limit. The agent must ask for more than two minutes, and is told that it can.",
    )
    max_output_tokens: int = Field(
        default=0,
        ge=0,
        title="Output tokens in a reply",
        description="How many tokens a single reply of the model may have; 0 for Claude Code's own limit.",
    )
    context_tokens: Annotated[int, AfterValidator(_check_context_tokens)] = Field(
        default=200_000,
        ge=0,
        title="Tokens of context",
        description="How many tokens the conversation may reach before Claude Code summarizes it: at least 100000, or "
        "0 for Claude Code's own limit. Each turn pays for the whole conversation again, at the price of the cache.",
    )
    setup_timeout_seconds: int = Field(
        default=1800,
        ge=0,
        title="Seconds for the setup",
        description="How many seconds the setup command may run before the agent starts; 0 for no limit.",
    )
    checkpoint_seconds: int = Field(
        default=60,
        ge=0,
        title="Seconds between checkpoints",
        description="How many seconds pass between two checkpoints, which save the work so that another machine can "
        "continue the run; 0 for no checkpoints.",
    )
