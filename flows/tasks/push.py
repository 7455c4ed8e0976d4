"""push: the commit, to its branch. It may be tried as often as one likes: the commit is the same each time."""

from prefect import get_run_logger

from flows.checks.change import check_change
from flows.errors import BranchConflict, PushRejected, RunError, Superseded
from flows.parameters.implement import ImplementParameters
from flows.repository.collect import Change
from flows.repository.credentials import GitCredentials
from flows.repository.remote import Remote
from flows.run.lease import check_execution
from flows.sandbox.workspace import Workspace
from flows.state.store import RunStore
from flows.tasks.clone import remote
from flows.tasks.task import step


@step("push")
def push(
    request: ImplementParameters,
    credentials: GitCredentials,
    workspace: Workspace,
    change: Change,
    kept: str,
    store: RunStore,
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
        _push(remote(request, credentials, workspace), workspace, change)
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


def _push(target: Remote, workspace: Workspace, change: Change) -> None:
    branch = change.checkout.branch
    try:
        target.push(workspace.clean_git, change.commit, branch)
    except PushRejected:
        there = target.refs().branches.get(branch, "")
        if there == (change.checkout.base_commit if change.checkout.continues else ""):
            raise
        raise BranchConflict(f"{branch} moved to {there[:12]} while the agent worked") from None
