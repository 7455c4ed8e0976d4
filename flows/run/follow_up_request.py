"""Decides how a follow-up begins: in the session of the earlier run or in a new one, and with which request."""

from collections.abc import Iterator
from typing import Final

from prefect import get_run_logger

from flows.agent.follow_up import FollowUp, MergedBase
from flows.repository.base_branch import BaseState, compare, difference, merge
from flows.repository.clone import Checkout
from flows.run.run import FollowUpRun
from flows.state.branch_record import session_digest
from flows.state.records import Checkpoint, Plan

_CHANGE_CHARACTERS: Final = 100_000


def begin_follow_up(run: FollowUpRun, plan: Plan) -> FollowUp:
    """Return the request. If no attempt has begun yet, let the agent join the session of the earlier run, if it may."""
    [review], parameters = run.reviews, run.parameters
    fault = _session_fault(run, plan)
    is_first = run.saved.checkpoint is None and not run.agent.session_id
    if is_first and not fault:
        checkpoint = run.earlier.checkpoint
        assert checkpoint is not None  # noqa: S101 (else there is a fault)
        run.agent.join(checkpoint.session_id, checkpoint.session)
        get_run_logger().info("the agent continues the session of the run %s", run.record.run_id)
    base = compare(run.workspace.clean_git, plan.checkout.base_commit, review.base) if review.base else None
    for note in _notes(plan, fault, base):
        if note not in run.warnings:
            get_run_logger().warning("%s", note)
            run.warnings.append(note)
    texts = (*([parameters.instructions] if parameters.instructions.strip() else ()), *run.feedback)
    head, other = plan.checkout.base_commit, plan.checkout.merged_commit
    merged = merge(run.workspace.clean_git, head, other) if other else None
    return FollowUp(
        review.request,
        bool(review.comments),
        texts,
        _change(run, plan, base) if fault else "",
        MergedBase(review.base, merged.conflicts) if merged else None,
    )


def is_work(run: FollowUpRun, checkout: Checkout) -> bool:
    """Whether the agent has something to do, also if the base branch was to be merged and has not moved."""
    [review] = run.reviews
    return bool(review.comments or run.parameters.instructions.strip() or run.feedback or checkout.merged_commit)


def _session_fault(run: FollowUpRun, plan: Plan) -> str:
    """Return why the session of the earlier run is not continued; empty if it is."""
    record, checkpoint, earlier = run.record, run.earlier.checkpoint, run.earlier.plan
    head = plan.checkout.base_commit
    if record.head != head and not record.pushed_at:
        return f"{record.branch} is at {head[:12]}, and no push of the run's own commit {record.head[:12]} is recorded"
    if record.head != head:
        return f"{record.branch} was moved to {head[:12]} since a run pushed {record.head[:12]}"
    if earlier is None or earlier.repo_url != plan.repo_url:
        return f"the run {record.run_id} worked on another repository"
    if checkpoint is None or not checkpoint.session or not record.session:
        return f"the run {record.run_id} has saved no session"
    if not _is_ours(checkpoint, record.session):
        return f"the saved session of the run {record.run_id} is not the one that was saved when it pushed"
    return ""


def _is_ours(checkpoint: Checkpoint, digest: str) -> bool:
    return session_digest(checkpoint.session) == digest


def _notes(plan: Plan, fault: str, base: BaseState | None) -> Iterator[str]:
    if fault:
        yield f"a new session has begun, which knows the change and not the work on it: {fault}"
    if base and base.note and not plan.checkout.merged_commit:
        yield base.note


def _change(run: FollowUpRun, plan: Plan, base: BaseState | None) -> str:
    """Return the change on the branch so far; empty if the fetched history does not show where it began."""
    earlier = run.earlier.plan
    start = base.fork if base else (earlier.checkout.base_commit if earlier else "")
    if not start:
        return ""
    return difference(run.workspace.clean_git, start, plan.checkout.base_commit, _CHANGE_CHARACTERS)
