"""What a person can do after a run: review its branch, deliver what it saved, continue it, or repeat it. Pure."""

import json
import math
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Final

from flows.errors import AgentDenied, AgentStalled, AgentTimeout, BudgetExceeded, TurnLimitReached
from flows.outcome.summary import RunSummary
from flows.parameters.change_policy import ChangePolicy
from flows.reporting.markdown import code, fenced
from flows.state.files import StateFile

_POLICY: Final = re.compile(r"\bpolicy\.(allow_(?!secrets)\w+)")
"""What an error's message says could be allowed."""

_LIMITS: Final = {
    BudgetExceeded: "max_budget_usd",
    TurnLimitReached: "max_turns",
    AgentTimeout: "agent_timeout_seconds",
    AgentStalled: "stall_timeout_seconds",
}
"""The limit that each of these errors has reached."""

_ALLOW_ALL: Final = 'claude_settings.permissions.defaultMode="bypassPermissions"'


def advice(summary: RunSummary) -> Iterator[str]:
    """Yield what a person can do now, in Markdown."""
    if summary.error:
        yield from _recovery(summary)
    elif summary.commit:
        yield (
            "Review the branch as you would a stranger's. To have more done on it, start a run with the same branch "
            "and new instructions:"
        )
        url = summary.repo_url.url if summary.repo_url else ""
        parameters = {"repo_url": url, "branch_name": _branch(summary), "instructions": "…"}
        yield fenced(_run("implement", summary, parameters), "sh")
    else:
        yield (
            "The files are as the agent found them. If there was something to do, say in the instructions what has to "
            f"be different at the end. {_repetition(summary)}"
        )


def _recovery(summary: RunSummary) -> Iterator[str]:
    allowed = {name: True for name in _POLICY.findall(str(summary.error)) if name in ChangePolicy.model_fields}
    if where := summary.saved_files.get(StateFile.BUNDLE):
        show = code(fetch(where, _branch(summary)))
        yield f"- The agent's work is saved, and not pushed. To see it, in a clone: {show}"
        policy = {"policy": allowed} if allowed else {}
        command = code(_run("deliver", summary, {"flow_run_id": summary.flow_run_id, **policy}))
        yield f"- To push it without an agent: {command}"
    # With the same parameters a policy would stop the run again.
    if StateFile.PLAN in summary.saved_files and not allowed and summary.deployment:
        yield f"- {_continuation(summary)}"
    yield f"- {_repetition(summary)}"


def _continuation(summary: RunSummary) -> str:
    command = f"python -m deployments runs continue {summary.flow_run_id}"
    if setting := _setting(summary):
        return (
            f"To continue the same session: {code(f'{command} --set {shlex.quote(setting)}')}. *Retry* on this run's "
            "page would change no parameter, and stop for the same reason."
        )
    return (
        f"To continue the same session, *Retry* on this run's page, or {code(command)}. It resumes from the last "
        "checkpoint with what is left of its limits; finished work is not paid for again."
    )


def _setting(summary: RunSummary) -> str:
    """Return the parameter that has to change before the run can get further; empty if none has to."""
    if isinstance(summary.error, AgentDenied):
        return _ALLOW_ALL
    name = next((limit for error, limit in _LIMITS.items() if isinstance(summary.error, error)), "")
    if not name:
        return ""
    limit = getattr(summary.limits, name)
    used = summary.agent.cost_usd if summary.agent and isinstance(summary.error, BudgetExceeded) else limit
    return f"limits.{name}={math.ceil(max(used, limit) + limit)}"


def _repetition(summary: RunSummary) -> str:
    if not summary.deployment:
        return "To start over, start it again as you started it."
    command = code(f"python -m deployments runs repeat {summary.flow_run_id}")
    return f"To start over with the same parameters: {command}, or *Copy to new run* in the menu of this run's page."


def fetch(where: str, branch: str) -> str:
    """Return the command that shows a branch of a repository, or of a bundle, in any clone."""
    return f"git fetch {shlex.quote(where)} {shlex.quote(branch)} && git show FETCH_HEAD"


def _run(flow: str, summary: RunSummary, parameters: Mapping[str, object]) -> str:
    """Return the command that starts a run. As JSON, a text stays a text, and may have quotes and lines."""
    deployment = shlex.quote(f"{flow}/{summary.deployment or 'local'}")
    return f"prefect deployment run {deployment} --params {shlex.quote(json.dumps(parameters, ensure_ascii=False))}"


def _branch(summary: RunSummary) -> str:
    return summary.checkout.branch if summary.checkout else ""
