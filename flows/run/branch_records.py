"""Writes the record of a branch after each push, so that follow_up finds the run by which it was pushed."""

from dataclasses import replace

from prefect import get_run_logger

from flows.errors import StoreUnavailable
from flows.repository.collect import Change
from flows.run.run import FollowUpRun, Run
from flows.state.branch_record import BranchRecord, BranchRecords, session_digest, with_answers
from flows.state.review_record import Review


def records(run: Run) -> BranchRecords:
    """Return the records of the branches of the run's repository."""
    return BranchRecords(run.saved.store.files, run.request.repo_url.url)


def record_push(run: Run, branch: str, head: str, number: int = 0) -> None:
    """Record that the branch is at a commit of this run. A later run needs it, and this run does not, so it may fail.

    Args:
        run: The run.
        branch: The branch.
        head: The pushed commit.
        number: The number of the pull request; 0 if it is not known.
    """
    checkpoint = run.saved.checkpoint
    session = checkpoint.session if checkpoint else b""
    try:
        records(run).save_push(branch, run.saved.store.flow_run_id, head, session, number)
    except StoreUnavailable as error:
        text = f"the push could not be recorded, so follow_up will not find this run: {error}"
        get_run_logger().warning(text)
        run.warnings.append(text)


def record_answers(run: FollowUpRun, review: Review, change: Change) -> None:
    """Record which comments are answered, and that this run has the newest conversation about the branch."""
    store, checkpoint = records(run), run.saved.checkpoint
    is_complete = set(review.threads) <= set(run.answered)
    answered = [(each.id, each.edited) for each in review.comments if each.thread in run.answered]
    try:
        record = store.of_branch(review.branch) or run.record
        record = with_answers(record, answered, review.requested_at if is_complete else "")
        record = replace(record, number=review.number or record.number)
        if not change.commit and run.saved.plan and record.head == run.saved.plan.checkout.base_commit:
            record = _with_session_of(run, record, checkpoint.session if checkpoint else b"")
        store.save(record)
    except StoreUnavailable as error:
        text = f"the answers could not be recorded, so the next follow-up may answer the same comments: {error}"
        get_run_logger().warning(text)
        run.warnings.append(text)


def _with_session_of(run: FollowUpRun, record: BranchRecord, session: bytes) -> BranchRecord:
    """Return the record for a run that has pushed nothing, and whose conversation is the newest all the same."""
    return replace(record, run_id=run.saved.store.flow_run_id, session=session_digest(session))
