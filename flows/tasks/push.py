"""push: the commit, to its branch. It may be tried as often as one likes: the commit is the same each time."""

from prefect import get_run_logger

from flows.credentials import GitCredentials
from flows.errors import BranchConflict, PushRejected, RunError, Superseded
from flows.parameters import Request
from flows.store import RunStore
from flows.tasks.clone import remote
from flows.tasks.execution import check_execution
from flows.tasks.policy import step
from flows.workspace.collect import Change
from flows.workspace.directory import Workspace
from flows.workspace.policies import check_change
from flows.workspace.protection import check_protection
from flows.workspace.remote import Remote


@step("push")
def push(
    request: Request, credentials: GitCredentials, workspace: Workspace, change: Change, kept: str, store: RunStore
) -> None:
    """Put the commit on the remote, if the policies allow; nothing happens where there is nothing to change.

    Args:
        request: The run's parameters.
        credentials: With the git token.
        workspace: Where the commit is.
        change: What to push.
        kept: Where the change is kept, for the message of a failure; empty where it is not.
        store: The run's, which says whether a later execution of it has taken over.
    """
    logger = get_run_logger()
    if not change.commit:
        logger.info("nothing to change, nothing to push")
        return
    try:
        check_change(workspace.clean_git, change, request.policy)
        check_execution(store)
        target = remote(request, credentials, workspace)
        _push(target, workspace, change, allow_default_branch=request.allow_default_branch)
    except Superseded:
        raise
    except RunError as error:
        raise type(error)(f"{error}; {_how_to_get_it(change, kept, store.flow_run_id)}") from None
    logger.info("pushed %s to %s", change.commit[:12], change.checkout.branch)


def _how_to_get_it(change: Change, kept: str, flow_run_id: str) -> str:
    if not kept:
        return "the run store did not take the change either: it goes with this machine"
    fetch = f"git fetch <that file> {change.checkout.branch} gets it into any clone"
    return f"the change is kept as {kept}: the flow deliver pushes it later (flow_run_id={flow_run_id}), and {fetch}"


def _push(target: Remote, workspace: Workspace, change: Change, *, allow_default_branch: bool) -> None:
    branch = change.checkout.branch
    # Hours may have passed since the clone, and the remote's default branch may be another one.
    refs = target.refs()
    if refs.branches.get(branch) == change.commit:
        return
    check_protection(refs, branch, allow_default_branch=allow_default_branch)
    try:
        target.push(workspace.clean_git, change.commit, branch)
    except PushRejected:
        there = target.refs().branches.get(branch, "")
        if there == (change.checkout.base_commit if change.checkout.continues else ""):
            raise
        raise BranchConflict(f"{branch} moved to {there[:12]} while the agent worked") from None
