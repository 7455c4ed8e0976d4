"""How an agent's run is judged: by its last result event, and by what ended it.

Measured: an exit status of 0 and `subtype: success` both go together with failures, so neither is believed alone.
"""

import math
import re
from dataclasses import dataclass
from typing import Final

from flows.agent.events import Event
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

    result: Event
    """The last result event; empty where there was none."""
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
    if run.over_budget and (not result or result.get("is_error")):
        raise BudgetExceeded(
            f"the model cost ${run.cost_usd:.2f} of ${limits.max_budget_usd:.2f}: raise limits.max_budget_usd, or ask "
            "for less"
        )
    if not result:
        raise _no_result(run)
    if result.get("subtype") == "error_max_turns":
        raise TurnLimitReached(f"the agent used its {limits.max_turns} turns: raise limits.max_turns, or ask for less")
    if result.get("is_error") or result.get("subtype") != "success":
        raise _api_error(result, options)
    if not run.spoke:
        raise AgentFailed("Claude Code reports success, but the model never answered: see the transcript")
    return report(result, run.cost_usd)


def report(result: Event, cost_usd: float) -> AgentReport:
    """Read a result event, whichever of its fields are there and of whatever type."""
    denials, usage = result.get("permission_denials"), result.get("modelUsage")
    denied = denials if isinstance(denials, list) else []
    return AgentReport(
        summary=str(result.get("result") or ""),
        turns=int(_number(result.get("num_turns"))),
        # Not what Claude Code says, which knows neither other attempts nor what its requests' replies took on Bedrock.
        cost_usd=cost_usd,
        duration_seconds=_number(result.get("duration_ms")) / 1000,
        session_id=str(result.get("session_id") or ""),
        model_usage=usage if isinstance(usage, dict) else {},
        permission_denials=tuple(str(denial.get("tool_name")) for denial in denied if isinstance(denial, dict)),
    )


def _number(value: object) -> float:
    """Return a number that can be reckoned with: 0 for anything else."""
    try:
        number = float(value) if isinstance(value, int | float) else 0.0
    except OverflowError:
        return 0.0
    return number if math.isfinite(number) else 0.0


def _no_result(run: AgentRun) -> RunError:
    said = run.stderr.strip()[-_SHOWN:] or "it said nothing"
    by_signal = run.exit_status is None or run.exit_status <= 0 or run.exit_status > _SIGNALLED
    if run.spoke or by_signal:
        return AgentCrashed(f"the agent ended without a result (exit status {run.exit_status}): {said}")
    return AgentFailed(f"Claude Code did not start to work (exit status {run.exit_status}): {said}")


def _api_error(result: Event, options: ClaudeCodeOptions) -> RunError:
    status = int(_number(result.get("api_error_status")))
    said = str(result.get("result") or result.get("errors") or result.get("terminal_reason"))[:_SHOWN]
    where = f"{options.provider} model {options.model_id!r}"
    if status == _TOO_LARGE or re.search(r"prompt is too long|input is too long", said, re.IGNORECASE):
        return PromptTooLong(f"the instructions and the work on them no longer fit the model: split them up ({said})")
    if status in _DENIED:
        return ModelAccessDenied(f"no access to {where}: check the credentials and the access to this model ({said})")
    if status == _MISSING or re.search(
        r"model identifier is invalid|model_not_found|issue with the selected model", said
    ):
        return ModelNotFound(f"there is no {where} in {options.aws_region}: check claude_model_id ({said})")
    if status in _PASSING or status >= _SERVER_ERROR or _is_connection(said):
        return ModelUnavailable(f"{where} did not answer, after Claude Code's own retries ({said})")
    return AgentFailed(f"the agent ended with an error: {said}")


def _is_connection(said: str) -> bool:
    return bool(re.search(r"connection error|overloaded|timed out|ECONN|socket", said, re.IGNORECASE))
