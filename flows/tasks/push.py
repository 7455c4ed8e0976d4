"""The step `push`: pushes the commit to its branch. It can be repeated, because the commit is the same each time."""

from prefect import get_run_logger

from flows.checks.table import check_change
from flows.errors import BranchConflict, PushRejected, RunError, Superseded
from flows.repository.clone import check_target
from flows.repository.collect import Change
from flows.repository.credentials import GitCredentials
from flows.repository.remote import Remote
from flows.repository.submodules import check_submodule_links
from flows.run.lease import check_lease
from flows.run.run import Run
from flows.tasks.clone import remote
from flows.tasks.task import step


@step("push")
def push(run: Run, credentials: GitCredentials, change: Change) -> None:
    """Push the commit if the change policy allows it; without a change, do nothing."""
    logger = get_run_logger()
    if not change.commit:
        logger.info("nothing to change, nothing to push")
        return
    try:
        check_change(run.workspace.clean_git, change, run.request.policy)
        target = remote(run, credentials)
        check_submodule_links(run.workspace.clean_git, change, target)
        check_lease(run.saved.store)
        _push(target, run, change)
    except Superseded:
        raise
    except RunError as error:
        raise type(error)(f"{error}; {_recovery_advice(run, change)}") from None
    logger.info("pushed %s to %s", change.commit[:12], change.checkout.branch)


def _recovery_advice(run: Run, change: Change) -> str:
    path, flow_run_id = run.saved.bundle_path, run.saved.store.flow_run_id
    if not path:
        return "the run store could not save the change either: it will be lost with this machine"
    fetch = f"git fetch <that file> {change.checkout.branch} fetches it into any clone"
    return f"the change is saved as {path}: the flow deliver pushes it later (flow_run_id={flow_run_id}), and {fetch}"


def _push(target: Remote, run: Run, change: Change) -> None:
    branch = change.checkout.branch
    # Hours may have passed since the clone, and the remote's default branch may have changed.
    refs = target.refs()
    if refs.branches.get(branch) == change.commit:
        return
    check_target(refs, branch, allow_default_branch=run.request.allow_default_branch)
    try:
        target.push(run.workspace.clean_git, change.commit, branch)
    except PushRejected:
        remote_commit = target.refs().branches.get(branch, "")
        if remote_commit == (change.checkout.base_commit if change.checkout.continues else ""):
            raise
        raise BranchConflict(f"{branch} moved to {remote_commit[:12]} while the agent worked") from None
