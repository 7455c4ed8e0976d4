"""How an agent's run is judged: by its last result event, and by what ended it.

Measured: an exit status of 0 and `subtype: success` both go together with failures, so neither is believed alone.
"""

import re
from dataclasses import dataclass
from typing import Final

from flows.agent.event_types import Result
from flows.errors import (
    AgentCrashed,
    AgentFailed,
    AgentStalled,
    AgentTimeout,
    BudgetExceeded,
    ModelAccessDenied,
    ModelNotFound,
    ModelUnavailable,
    PromptTooLong,
    RunError,
    TurnLimitReached,
)
from flows.parameters.claude_code import ClaudeCodeOptions
from flows.state.agent_report import AgentReport
from flows.text_safety import sanitize

_SHOWN: Final = 500
_DENIED: Final = {401, 403}
_MISSING: Final = 404
_TOO_LARGE: Final = 413
_SERVER_ERROR: Final = 500
_PASSING: Final = {408, 424, 429}
"""HTTP statuses of the providers' errors; Bedrock's 424 is a model that broke down."""

_SIGNALLED: Final = 128
"""A shell adds the number of the signal to this, and Claude Code does as well."""


@dataclass(frozen=True)
class AgentRun:
    """What one run of the agent's process left behind."""

    result: Result | None
    """The last one; None if the process ended without."""
    exit_status: int | None
    """As subprocess gives it; None where we ended the process."""
    stderr: str
    ended_for: str = ""
    """`timeout` or `stall`, where we ended the process for that."""
    spoke: bool = False
    """Whether the model answered at least once."""
    over_budget: bool = False
    """Whether the gateway refused a request because the budget was used up."""
    cost_usd: float = 0
    """What the gateway counted, over all attempts."""


def judge(run: AgentRun, options: ClaudeCodeOptions) -> AgentReport:
    """Return the report of a run that succeeded; raise the named error of one that did not."""
    limits, result = options.limits, run.result
    if run.ended_for == "timeout":
        raise AgentTimeout(f"the agent worked for {limits.agent_timeout_seconds} s: raise limits.agent_timeout_seconds")
    if run.ended_for == "stall":
        raise AgentStalled(f"the agent said nothing for {limits.stall_timeout_seconds} s and was ended")
    if run.over_budget and (result is None or result.is_error):
        raise BudgetExceeded(
            f"the model cost ${run.cost_usd:.2f} of ${limits.max_budget_usd:.2f}: raise limits.max_budget_usd, or ask "
            "for less"
        )
    if result is None:
        raise _no_result(run)
    if result.subtype == "error_max_turns":
        raise TurnLimitReached(f"the agent used its {limits.max_turns} turns: raise limits.max_turns, or ask for less")
    if result.is_error or result.subtype != "success":
        raise _api_error(result, options)
    if not run.spoke:
        raise AgentFailed("Claude Code reports success, but the model never answered: see the transcript")
    return report(result, run.cost_usd)


def report(result: Result, cost_usd: float) -> AgentReport:
    """Return what a result says of the run.

    Args:
        result: The agent's.
        cost_usd: From the gateway. Claude Code knows neither other attempts nor what requests cost on Bedrock.
    """
    return AgentReport(
        summary=sanitize(result.text),
        turns=result.turns,
        cost_usd=cost_usd,
        duration_seconds=result.duration_seconds,
        session_id=result.session_id,
        model_usage=dict(result.model_usage),
        permission_denials=result.denied_tools,
    )


def _no_result(run: AgentRun) -> RunError:
    message = sanitize(run.stderr).strip()[-_SHOWN:] or "it said nothing"
    by_signal = run.exit_status is None or run.exit_status <= 0 or run.exit_status > _SIGNALLED
    if run.spoke or by_signal:
        return AgentCrashed(f"the agent ended without a result (exit status {run.exit_status}): {message}")
    return AgentFailed(f"Claude Code did not start to work (exit status {run.exit_status}): {message}")


def _api_error(result: Result, options: ClaudeCodeOptions) -> RunError:
    status = result.api_error_status
    reason = result.text or "; ".join(result.errors) or result.terminal_reason or result.subtype or "no reason given"
    reason = sanitize(reason)[:_SHOWN]
    where = f"{options.provider} model {options.model_id!r}"
    if status == _TOO_LARGE or re.search(r"prompt is too long|input is too long", reason, re.IGNORECASE):
        return PromptTooLong(f"the instructions and the work on them no longer fit the model: split them up ({reason})")
    if status in _DENIED:
        return ModelAccessDenied(f"no access to {where}: check the credentials and the access to this model ({reason})")
    if status == _MISSING or re.search(
        r"model identifier is invalid|model_not_found|issue with the selected model", reason
    ):
        return ModelNotFound(f"there is no {where} in {options.aws_region}: check claude_model_id ({reason})")
    if status in _PASSING or status >= _SERVER_ERROR or _is_connection(reason):
        return ModelUnavailable(f"{where} did not answer, after Claude Code's own retries ({reason})")
    return AgentFailed(f"the agent ended with an error: {reason}")


def _is_connection(reason: str) -> bool:
    return bool(re.search(r"connection error|overloaded|timed out|ECONN|socket", reason, re.IGNORECASE))
