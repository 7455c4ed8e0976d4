"""Decides whether an agent succeeded, from Claude Code's last result event and from how its process ended.

Failures have been seen with an exit status of 0 and with `subtype: success`, so neither of these is trusted alone.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from flows.agent.event_types import Result
from flows.agent.final_answer import final_answer
from flows.agent.model_errors import model_error
from flows.errors import (
    AgentCrashed,
    AgentFailed,
    AgentStalled,
    AgentTimeout,
    BudgetExceeded,
    RunError,
    TurnLimitReached,
)
from flows.model.cache_use import CacheUse
from flows.model.provider_error import ProviderError
from flows.parameters.claude_code import ClaudeCodeOptions
from flows.state.agent_report import AgentReport
from flows.text_safety import sanitize

_MAX_REASON_CHARACTERS: Final = 500
_SIGNAL_BASE: Final = 128
"""An exit status above this means that a signal ended the program, as in a shell: 128 plus the signal's number."""


@dataclass(frozen=True)
class AgentRun:
    """How one process of Claude Code ended."""

    result: Result | None
    """Claude Code's last result event; None if Claude Code sent none."""
    exit_status: int | None
    """The exit status as `subprocess` reports it (negative for a signal); None if this program ended the process."""
    stderr: str
    end_reason: str = ""
    """`timeout` or `stall` if this program ended the process for that reason; empty otherwise."""
    model_replied: bool = False
    """Whether the model replied at least once."""
    over_budget: bool = False
    """Whether the gateway refused a request because the budget was used up."""
    cost_usd: float = 0
    """What the run has spent on the model, in US dollars, as the gateway counted it over all attempts of the run."""
    cache: CacheUse = field(default_factory=CacheUse)
    """What the provider's prompt cache did for the run, over all attempts of the run."""
    last_text: str = ""
    """The last text of the model."""
    is_finished: bool = False
    """Whether the model ended its work. What failed after that was only its final answer."""
    provider_error: ProviderError | None = None
    """Why the last message to the model failed, in the provider's words; None if the reply ended well."""


def judge(run: AgentRun, options: ClaudeCodeOptions) -> AgentReport:
    """Return the agent's report if the agent succeeded. If it failed, raise the `RunError` that names the cause."""
    limits, result = options.limits, run.result
    if run.is_finished and (result is None or result.is_error):
        return report(replace(result or Result(), text=run.last_text), run.cost_usd, run.cache)
    if run.end_reason == "timeout":
        raise AgentTimeout(
            f"the agent did not finish within {limits.agent_timeout_seconds} s and was ended: "
            "raise limits.agent_timeout_seconds or reduce the task"
        )
    if run.end_reason == "stall":
        raise AgentStalled(
            f"the agent sent no output for {limits.stall_timeout_seconds} s, or for longer than its command may run, "
            "and was ended: if it needs that long, raise limits.stall_timeout_seconds"
        )
    if run.over_budget and (result is None or result.is_error):
        raise BudgetExceeded(
            f"the model cost ${run.cost_usd:.2f}, and the budget is ${limits.max_budget_usd:.2f}: "
            "raise limits.max_budget_usd or reduce the task"
        )
    if result is None:
        raise _no_result(run)
    if result.subtype == "error_max_turns":
        raise TurnLimitReached(
            f"the agent used all {limits.max_turns} turns: raise limits.max_turns or reduce the task"
        )
    if result.is_error or result.subtype != "success":
        raise _api_error(run, result, options)
    if not run.model_replied:
        raise AgentFailed("Claude Code reports success, but the model never replied: see the transcript")
    return report(result, run.cost_usd, run.cache)


def report(result: Result, cost_usd: float, cache: CacheUse) -> AgentReport:
    """Return the agent's report, built from its result event.

    Args:
        result: The agent's last result event.
        cost_usd: The cost in US dollars that the gateway counted. Claude Code's own figure is not used: it leaves out
            the other attempts of the run, and is not based on Bedrock's prices.
        cache: What the provider's prompt cache did for the run.
    """
    answer = final_answer(result)
    return AgentReport(
        summary=answer.summary,
        turns=result.turns,
        cost_usd=cost_usd,
        duration_seconds=result.duration_seconds,
        session_id=result.session_id,
        model_usage=dict(result.model_usage),
        permission_denials=result.denied_tools,
        denied_paths=result.denied_paths,
        cache=cache,
        status=answer.status,
        title=answer.title,
        questions=answer.questions,
        not_done=answer.not_done,
        replies=answer.replies,
    )


def _no_result(run: AgentRun) -> RunError:
    message = sanitize(run.stderr).strip()[-_MAX_REASON_CHARACTERS:] or "no output"
    by_signal = run.exit_status is None or run.exit_status <= 0 or run.exit_status > _SIGNAL_BASE
    if run.model_replied or by_signal:
        return AgentCrashed(f"the agent ended without a result (exit status {run.exit_status}): {message}")
    return AgentFailed(f"Claude Code failed to start (exit status {run.exit_status}): {message}")


def _api_error(run: AgentRun, result: Result, options: ClaudeCodeOptions) -> RunError:
    """Return the error that matches the provider's message or, if no rule matches that, Claude Code's message."""
    seen = run.provider_error
    text = result.text or "; ".join(result.errors) or result.terminal_reason or result.subtype or "no reason given"
    text = sanitize(text)[:_MAX_REASON_CHARACTERS]
    if seen and (error := model_error(seen.status, str(seen), options)):
        return error
    if error := model_error(result.api_error_status, text, options):
        return error
    words = f"{text} ({seen})" if seen else text
    return AgentFailed(f"the agent ended with an error: {words}")
