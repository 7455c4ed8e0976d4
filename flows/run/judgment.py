"""Decides whether the work of an agent may be verified and delivered, and words the error if not."""

import re
from dataclasses import replace
from typing import Final

from prefect import get_run_logger

from flows.agent.final_answer import with_last_question
from flows.agent.no_change import check_no_change, denial_advice, paths_in_work_tree
from flows.agent.outcome import AgentRun, judge
from flows.agent.transcript import read_chunks
from flows.checks.leaks import Base, check_credentials
from flows.errors import (
    DISK_FULL,
    AgentCrashed,
    AgentFailed,
    AgentRepoInvalid,
    ChangeConflicts,
    CommandFailed,
    DiskFull,
    GitFailed,
    ModelUnavailable,
    RunError,
    WorkLeftAside,
)
from flows.repository.base_branch import files_with_markers, merge, start_of_work
from flows.repository.collect import Change, names
from flows.run.run import FollowUpRun, ImplementRun
from flows.state.agent_report import AgentReport

SAVED_AS: Final = "; the work so far is saved as "
_VERSION: Final = re.compile(r"[0-9][0-9A-Za-z.+-]{0,30}", re.ASCII)
_MAY_BE_FULL_DISK: Final = (
    AgentCrashed,
    AgentFailed,
    AgentRepoInvalid,
    CommandFailed,
    GitFailed,
    ModelUnavailable,
)


def judge_work(run: ImplementRun, result: AgentRun, change: Change) -> AgentReport:
    """Return the agent's report if its work may be pushed; otherwise raise the error that says why not."""
    clean, checkout = run.workspace.clean_git, change.checkout
    base = Base(clean, start_of_work(clean, checkout.base_commit, checkout.merged_commit))
    for chunk in read_chunks(run.workspace.transcript):
        check_credentials("the transcript", chunk, base, is_from_agent=True)
    report = _with_missing_files(judge(result, run.agent.options), run, change)
    if _VERSION.fullmatch(run.agent.version):
        report = replace(report, claude_code_version=run.agent.version)
    if not isinstance(run, FollowUpRun):
        report = replace(report, replies=())  # the form of the answer is the same in all runs: see ADR 42
    if change.fault:
        raise _work_tree_error(change, run.saved.bundle_path)
    if change.checkout.merged_commit and change.commit:
        _check_conflicts(run, change)
    if change.is_left_aside:
        raise _left_aside_error(change, run.saved.bundle_path)
    is_isolated = not run.workspace.agent.missing_isolation
    if not change.commit:
        check_no_change(report, run.agent.options, is_isolated=is_isolated)
        report = with_last_question(report)
    elif report.denied_paths:
        advice = denial_advice(run.agent.options.claude_settings, is_isolated=is_isolated)
        run.warnings.append(f"the agent was denied access to {', '.join(report.denied_paths)}: {advice}")
        get_run_logger().warning("%s", run.warnings[-1])
    return report


def _with_missing_files(report: AgentReport, run: ImplementRun, change: Change) -> AgentReport:
    """Return the report with only those denied paths that are not in the change."""
    changed = {file.path for file in change.files}
    denied = paths_in_work_tree(report.denied_paths, run.workspace.work_tree)
    return replace(report, denied_paths=tuple(path for path in denied if path not in changed))


def _work_tree_error(change: Change, path: str) -> RunError:
    """Return the error for a work tree that is no longer a usable repository."""
    saved = f"its files, except those that git could not read, are saved as {path}" if path else "no file was changed"
    return AgentRepoInvalid(f"the agent left a work tree from which no change can be taken: {change.fault}; {saved}")


def _check_conflicts(run: ImplementRun, change: Change) -> None:
    """Raise `ChangeConflicts` if the agent has left conflict markers of the merge."""
    clean, checkout = run.workspace.clean_git, change.checkout
    merged = merge(clean, checkout.base_commit, checkout.merged_commit)
    if paths := files_with_markers(clean, change.commit, merged.conflicts if merged else ()):
        raise ChangeConflicts(
            f"the agent left conflict markers in {names(paths)}: continue the run with feedback, or merge by hand"
        )


def _left_aside_error(change: Change, path: str) -> RunError:
    """Return the error for a run whose work tree is unchanged, although the agent left work in other places."""
    work = [item for item in change.left_aside if not item.is_ignored]
    places = ", ".join(item.place for item in work)
    commands = "; ".join(f"git fetch <that file> {item.branch} fetches {item.place}" for item in work)
    saved = f"this work is saved as {path}: {commands}" if path else "the run store could not save this work"
    return WorkLeftAside(
        f"the work tree is unchanged, but the agent left work in {places}, so it is not clear what to push; {saved}"
    )


def explain(error: RunError, path: str, *, disk_is_full: bool) -> RunError:
    """Return the error with the path of the saved work added. If a full disk may be the cause, return a `DiskFull`."""
    if disk_is_full and isinstance(error, _MAY_BE_FULL_DISK):
        error = DiskFull(f"{DISK_FULL} ({error})")
    return type(error)(f"{error}{SAVED_AS}{path}") if path and path not in str(error) else error
