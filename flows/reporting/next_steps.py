"""Writes the next steps of a report: review the branch, deliver the saved change, continue the run or repeat it."""

import json
import math
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Final

from flows.errors import (
    AgentDenied,
    AgentStalled,
    AgentTimeout,
    BaseRewritten,
    Blocked,
    BranchConflict,
    BudgetExceeded,
    DiskFull,
    LfsFileWithoutPointer,
    NeedsInput,
    TurnLimitReached,
    VerificationFailed,
)
from flows.outcome.summary import RunSummary
from flows.parameters.change_policy import ChangePolicy
from flows.parameters.limits import LONGEST_COMMAND_SECONDS
from flows.parameters.verification import MOST_REPAIRS
from flows.reporting.commands import continue_command, fetch_command, start_command
from flows.reporting.follow_up import follow_up_advice
from flows.reporting.markdown import code, fenced, link
from flows.state.files import StateFile
from flows.verification.results import Status, Verdict

_POLICY: Final = re.compile(r"\bpolicy\.(allow_(?!secrets)\w+)")
"""Matches, in an error's message, the parameter of the change policy that would allow the refused change."""

_LIMITS: Final = {
    BudgetExceeded: "max_budget_usd",
    TurnLimitReached: "max_turns",
    AgentTimeout: "agent_timeout_seconds",
    AgentStalled: "stall_timeout_seconds",
}
"""Maps each of these errors to the limit that the run has reached."""

_NOT_VERIFIED: Final = {
    Status.FAILED: "its verification failed",
    Status.FAILED_BEFORE: "a command fails, as it did before the change",
    Status.NOT_RUN: "the verify commands did not run on this commit",
}
"""What there is to say about a branch that is pushed although not all of its verify commands passed."""

_MAX_CHECKS: Final = 5
_CHECK_CHARACTERS: Final = 200
_RAISE_LIMIT: Final = re.compile(r"\. A repair was ended: .*\braise limits\.(\w+)")
"""Matches, in the message of `VerificationFailed`, the limit that ended a repair."""

_REPAIR_ENDED: Final = ". A repair was ended: "
"""Part of the message of a `VerificationFailed` whose last repair did not come to its end."""

_NEW_RUN: Final = "To continue the work on it, start a run with the same branch and new instructions"

_NAME_CONFLICT: Final = "git allows no branch"
"""Part of the message of a `BranchConflict` that is about the branch's name, not about its commits."""

_LARGER_DISK: Final = "--job-variable ephemeral_storage=100"
_MORE_MEMORY: Final = "--job-variable cpu=4096 --job-variable memory=16384"

_PERMISSION: Final = re.compile(r'\bset (claude_settings\.permissions\.defaultMode="bypassPermissions")')
"""Matches, in an error's message, the setting that would allow the denied calls."""


def advice(summary: RunSummary) -> Iterator[str]:
    """Yield the possible next steps, in Markdown."""
    if summary.error:
        yield from _recovery(summary)
    elif summary.change and summary.change.already_on:
        yield f"{code(summary.change.already_on)} has this change already, so nothing was pushed. Review it there."
    elif summary.commit:
        if summary.status in _NOT_VERIFIED:
            reason = _NOT_VERIFIED[summary.status]
            yield f"The branch is pushed, but {reason}. Look at the section Verification first."
        yield from _changed_checks(summary)
        yield from _pull_request(summary)
        yield f"Review the branch as you would review a stranger's. {_NEW_RUN}:"
        yield _new_run(summary)
        yield from follow_up_advice(summary)
    elif summary.review:
        yield from follow_up_advice(summary)
    else:
        yield (
            "The agent changed no files. If you expected a change, describe in the instructions what must be different "
            f"at the end. {_repetition(summary)}"
        )


def _changed_checks(summary: RunSummary) -> Iterator[str]:
    """Yield a sentence about the parts of the change that may weaken a check, if there are any."""
    lines = summary.verification.changed_checks if summary.verification else ()
    if lines:
        shown = ", ".join(code(line[:_CHECK_CHARACTERS]) for line in lines[:_MAX_CHECKS])
        more = f", and {len(lines) - _MAX_CHECKS} more" if len(lines) > _MAX_CHECKS else ""
        yield f"The change touches what defines the checks. Review this first: {shown}{more}."


def _pull_request(summary: RunSummary) -> Iterator[str]:
    """Yield how to open the pull request that the run could not open, if there is such a one."""
    if summary.pull_request is None or summary.pull_request.url:
        return
    by_hand = link("open it by hand", summary.links.request) if summary.links.request else "open it by hand"
    command = code(start_command("deliver", summary.deployment, {"flow_run_id": summary.change_run_id}))
    yield (
        f"The branch is pushed, but it has no pull request. Correct what the row Pull request says, and let the run "
        f"open it without running the agent again: {command}. Or {by_hand}."
    )


def _new_run(summary: RunSummary) -> str:
    """Return the command that starts a run on the same branch, with what this run needed."""
    return fenced(_continue_command(summary), "sh")


def _continue_command(summary: RunSummary) -> str:
    url = summary.repo_url.url if summary.repo_url else ""
    return continue_command(summary.deployment, url, _branch(summary), summary.next_parameters)


def _recovery(summary: RunSummary) -> Iterator[str]:
    if isinstance(summary.error, NeedsInput | Blocked):
        # Their messages are the agent's words, which must not choose a command.
        yield from _answer(summary)
        yield from _saved_work(summary, {})
        yield f"- {_repetition(summary)}"
        return
    if summary.is_pushed:
        # The same run could not push another commit to the branch.
        yield f"The branch {code(_branch(summary))} is pushed, but its verification failed."
        yield from _changed_checks(summary)
        yield from _pull_request(summary)
        yield f"{_NEW_RUN}:"
        yield _new_run(summary)
        return
    allowed = {name: True for name in _POLICY.findall(str(summary.error)) if name in ChangePolicy.model_fields}
    yield from _changed_checks(summary)
    yield from _saved_work(summary, allowed)
    # With unchanged parameters, the change policy would refuse the change again.
    is_forbidden = isinstance(summary.error, AgentDenied) and not _setting(summary)
    is_forbidden |= isinstance(summary.error, LfsFileWithoutPointer | BaseRewritten) or _is_unrepairable(summary)
    if StateFile.PLAN in summary.saved_files and not allowed and not is_forbidden and summary.deployment:
        yield f"- {_continuation(summary)}"
    yield f"- {_repetition(summary)}"


def _saved_work(summary: RunSummary, allowed: Mapping[str, bool]) -> Iterator[str]:
    """Yield how to see the saved change, and how to push it with these permissions of the change policy."""
    if bundle := summary.saved_files.get(StateFile.BUNDLE):
        command = code(fetch_command(bundle, _branch(summary)))
        yield f"- The agent's work is saved but not pushed. To see it, run this in any clone: {command}"
        for purpose, changed in _deliveries(summary, allowed):
            values = {"flow_run_id": summary.flow_run_id, **changed}
            command = code(start_command("deliver", summary.deployment, values))
            yield f"- To push the work {purpose}without running the agent again: {command}"
        if not summary.deployment:
            yield from _without_deployment(summary, allowed)


def _without_deployment(summary: RunSummary, allowed: Mapping[str, bool]) -> Iterator[str]:
    """Yield how to go on after a run that Prefect cannot start again, such as one of `python -m flows`."""
    ways = [changed for _, changed in _deliveries(summary, allowed) if "verify" not in changed]
    for changed in ways[:1]:
        values = {"flow_run_id": summary.flow_run_id, **changed}
        parameters = ", ".join(f"{name}={_literal(value)}" for name, value in values.items())
        command = shlex.join(["python", "-c", f"from flows.deliver import deliver; deliver({parameters})"])
        yield f"- If no process serves `deliver/local`, push the work where this run was started: {code(command)}"
        yield (
            "- This run has no deployment, so its session cannot be continued. To go on with its work, push it, and "
            "start a run with the same branch and new instructions."
        )


def _literal(value: object) -> str:
    """Return a value as Python writes it, in double quotes, so that the text is easy to read in a shell's quotes."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value).replace("'", '"')


def _is_unrepairable(summary: RunSummary) -> bool:
    """Whether the run would not repair the change again: the last repair changed nothing, or no more are allowed."""
    trees = [each.verification.tree for each in summary.rounds[-2:]]
    is_same = len(trees) > 1 and trees[0] == trees[1]
    is_last = (is_same or summary.repairs >= MOST_REPAIRS) and not _may_pass_again(summary)
    return isinstance(summary.error, VerificationFailed) and is_last


def _deliveries(summary: RunSummary, allowed: Mapping[str, bool]) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield the ways to deliver the change: the purpose of each, and its parameters in addition to the run's id."""
    if isinstance(summary.error, LfsFileWithoutPointer | BaseRewritten):
        return  # no parameter allows such a change
    if not isinstance(summary.error, BranchConflict):
        if isinstance(summary.error, VerificationFailed):
            yield "if the commands succeed when they run again, ", {"verify": True}
        yield "", {"policy": allowed} if allowed else {}
        return
    branch = _branch(summary)
    if has_moved(summary.error):
        yield "to another branch, ", {"branch_name": f"{branch}-2"}
        yield "on top of the branch's newest commit, ", {"apply_to_latest": True}
    else:
        # The remote has a branch that is named like a folder of this one, or the other way round.
        yield "to another branch, ", {"branch_name": f"{branch.replace('/', '-')}-2"}


def has_moved(error: BaseException) -> bool:
    """Return whether the error says that another push moved the branch, so that the change can be applied to it."""
    return isinstance(error, BranchConflict) and _NAME_CONFLICT not in str(error)


def _answer(summary: RunSummary) -> Iterator[str]:
    is_blocked = isinstance(summary.error, Blocked)
    if summary.deployment:
        command = f"python -m deployments runs continue {summary.flow_run_id} --feedback '…'"
        action = "When the cause is removed, tell the agent so" if is_blocked else "Answer the agent"
        yield f"- {action}, and it continues in the same session: {code(command)}"
        return
    action = "Remove the cause" if is_blocked else "Answer the agent in the instructions"
    yield f"- {action}, and start a new run: {code(_continue_command(summary))}"


def _continuation(summary: RunSummary) -> str:
    command = f"python -m deployments runs continue {summary.flow_run_id}"
    if _may_pass_again(summary):
        return _commands_again(summary, command)
    if setting := _setting(summary):
        return (
            f"To continue the same session: {code(f'{command} --set {shlex.quote(setting)}')}. *Retry* on this run's "
            "page keeps all parameters, so the run would fail for the same reason."
        )
    if isinstance(summary.error, DiskFull):
        return (
            f"To continue the same session: {code(command)}. On ECS, {code(f'{command} {_LARGER_DISK}')} gives it a "
            "larger disk, at most 200 GiB. *Retry* on this run's page keeps the size."
        )
    return (
        f"To continue the same session: *Retry* on this run's page, or {code(command)}. The run resumes from the last "
        "checkpoint with the rest of its limits, so finished work is not paid for again."
    )


def _may_pass_again(summary: RunSummary) -> bool:
    """Whether the run verifies the same change again if it is continued."""
    may_pass = summary.verification is not None and summary.verification.may_pass_again
    return may_pass and isinstance(summary.error, VerificationFailed) and not _ended_in_repair(summary.error)


def _ended_in_repair(error: VerificationFailed) -> bool:
    return _REPAIR_ENDED in str(error)


def _commands_again(summary: RunSummary, command: str) -> str:
    verdicts = {failure.verdict for failure in summary.verification.failures} if summary.verification else set()
    if Verdict.TIMED_OUT in verdicts:
        seconds = min(2 * summary.limits.command_timeout_seconds, LONGEST_COMMAND_SECONDS)
        setting = f"limits.command_timeout_seconds={seconds}"
        return (
            f"To run the commands again with more time: {code(f'{command} --set {setting}')}. *Retry* on this run's "
            "page runs them again with the same limit."
        )
    text = f"To run the commands again on the same change: *Retry* on this run's page, or {code(command)}."
    if Verdict.OUT_OF_MEMORY in verdicts:
        return f"{text} On ECS, {code(f'{command} {_MORE_MEMORY}')} gives them more memory."
    if Verdict.OUT_OF_DISK in verdicts:
        return f"{text} On ECS, {code(f'{command} {_LARGER_DISK}')} gives them a larger disk."
    return text


def _setting(summary: RunSummary) -> str:
    """Return the setting without which the run would fail again, as NAME=VALUE; empty if no setting must change."""
    if isinstance(summary.error, AgentDenied):
        return "".join(_PERMISSION.findall(str(summary.error))[-1:])
    if isinstance(summary.error, VerificationFailed) and not _ended_in_repair(summary.error):
        return f"verification.max_repairs={min(summary.repairs + 2, MOST_REPAIRS)}"
    name = next((limit for error, limit in _LIMITS.items() if isinstance(summary.error, error)), "")
    if isinstance(summary.error, VerificationFailed) and (match := _RAISE_LIMIT.search(str(summary.error))):
        name = match[1]
    if not name:
        return ""
    limit = getattr(summary.limits, name)
    consumed = summary.agent.cost_usd if summary.agent and name == _LIMITS[BudgetExceeded] else limit
    return f"limits.{name}={math.ceil(max(consumed, limit) + limit)}"


def _repetition(summary: RunSummary) -> str:
    if not summary.deployment:
        return "To start over, start the run again the way you first started it."
    command = f"python -m deployments runs repeat {summary.flow_run_id}"
    if isinstance(summary.error, LfsFileWithoutPointer):
        return f"To start over with Git LFS: {code(f'{command} --set lfs=true')}."
    command = code(command)
    return f"To start over with the same parameters: {command}, or *Copy to new run* in the menu of this run's page."


def _branch(summary: RunSummary) -> str:
    return summary.checkout.branch if summary.checkout else ""
