"""Writes the record of a branch after each push, so that follow_up finds the run by which it was pushed."""

from prefect import get_run_logger

from flows.errors import StoreUnavailable
from flows.run.run import Run
from flows.state.branch_record import BranchRecords


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
