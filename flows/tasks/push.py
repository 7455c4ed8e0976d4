"""Defines the step `push`, which pushes the commit to its branch. A repetition is safe: the commit stays the same."""

from prefect import get_run_logger

from flows.checks.table import check_change
from flows.errors import BaseRewritten, BranchConflict, LfsFileWithoutPointer, PushRejected, RunError, Superseded
from flows.reporting.next_steps import has_moved
from flows.repository.clone import check_target
from flows.repository.collect import Change
from flows.repository.credentials import GitCredentials
from flows.repository.lfs_upload import upload_objects
from flows.repository.merged_commit import check_merged_commit
from flows.repository.remote import Remote
from flows.repository.submodules import check_submodule_links
from flows.run.branch_lock import check_branch
from flows.run.branch_records import record_push
from flows.run.lease import check_lease
from flows.run.run import Run
from flows.tasks.clone import remote
from flows.tasks.secret import newest_credentials
from flows.tasks.task import step


@step("push")
def push(run: Run, credentials: GitCredentials, change: Change) -> None:
    """Push the change's commit if the change policy allows the change. If there is no change, do nothing."""
    logger = get_run_logger()
    if not change.commit:
        reason = f"{change.already_on} has the change already" if change.already_on else "the agent changed nothing"
        logger.info("%s, so nothing is pushed", reason)
        return
    try:
        credentials = newest_credentials(run, credentials)
        check_change(run.workspace.clean_git, change, run.request.policy)
        target = remote(run, credentials)
        check_submodule_links(run.workspace.clean_git, change, target)
        check_lease(run.saved.store)
        check_branch(run)
        _push(target, run, change)
    except Superseded:
        raise
    except RunError as error:
        raise type(error)(f"{error}; {_recovery_advice(run, change, error)}") from None
    logger.info("pushed %s to %s", change.commit[:12], change.checkout.branch)
    record_push(run, change.checkout.branch, change.commit)


def _recovery_advice(run: Run, change: Change, error: RunError) -> str:
    path, flow_run_id = run.saved.bundle_path, run.saved.store.flow_run_id
    if not path:
        return "the run store could not save the change either: the change will be lost with this machine"
    saved_branch = run.saved.plan.checkout.branch if run.saved.plan else change.checkout.branch
    fetch = f"git fetch <that file> {saved_branch} fetches the change into any clone"
    if isinstance(error, LfsFileWithoutPointer | BaseRewritten):
        return f"the change is saved as {path}: {fetch}"
    parameters = f"flow_run_id={flow_run_id}"
    if isinstance(error, BranchConflict):
        parameters += ", another branch_name" + (" or apply_to_latest=true" if has_moved(error) else "")
    return f"the change is saved as {path}: the flow deliver pushes it later ({parameters}), and {fetch}"


def _push(target: Remote, run: Run, change: Change) -> None:
    branch, base = change.checkout.branch, change.checkout.base_commit if change.checkout.continues else ""
    # Hours may have passed since the clone, and the remote's default branch may have changed.
    refs = target.refs()
    tip = refs.branches.get(branch, "")
    if tip == change.commit:
        return
    check_target(refs, branch, allow_default_branch=run.request.allow_default_branch)
    if merged := change.checkout.merged_commit:
        check_merged_commit(target, run.workspace.clean_git, merged, change.checkout.merged_branch, refs)
    if run.request.lfs and (count := upload_objects(run.workspace.clean_git, change, target)):
        get_run_logger().info("objects uploaded to Git LFS: %d", count)
    try:
        target.push(run.workspace.clean_git, change.commit, branch)
    except PushRejected:
        tip = target.refs().branches.get(branch, "")
        if tip in {"", base}:
            raise
        raise BranchConflict(f"another push moved {branch} to {tip[:12]} in the meantime") from None
    if base and tip != base:
        # The push succeeded, so the branch had only lost commits.
        _warn(run, f"{branch} was {_loss(tip)} on the remote while the agent worked: this push restored {base[:12]}")


def _loss(tip: str) -> str:
    return f"reset to {tip[:12]}" if tip else "deleted"


def _warn(run: Run, text: str) -> None:
    get_run_logger().warning(text)
    run.warnings.append(text)
