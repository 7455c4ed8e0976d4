"""push: the commit, to its branch. It may be tried as often as one likes: the commit is the same each time."""

from prefect import get_run_logger

from blocks.git_credentials import GitCredentials
from flows.errors import BranchConflict, PushRejected, RunError
from flows.parameters import Request
from flows.tasks.claude import Work
from flows.tasks.clone import remote
from flows.tasks.policy import step
from flows.workspace.directory import Workspace


@step("push")
def push(request: Request, credentials: GitCredentials, workspace: Workspace, work: Work) -> None:
    """Put the commit on the remote; nothing happens where there is nothing to change."""
    logger, change = get_run_logger(), work.change
    if not change.commit:
        logger.info("nothing to change, nothing to push")
        return
    target = remote(request, credentials, workspace)
    kept = f"the change is kept as {work.kept}: git fetch <that file> {change.checkout.branch} gets it into any clone"
    try:
        target.push(workspace.clean_git, change.commit, change.checkout.branch)
    except PushRejected as error:
        there = target.refs().branches.get(change.checkout.branch, "")
        if there == (change.checkout.base_commit if change.checkout.continues else ""):
            raise PushRejected(f"{error}; {kept}") from None
        moved = f"{change.checkout.branch} moved to {there[:12]} while the agent worked"
        raise BranchConflict(f"{moved}; {kept}") from None
    except RunError as error:
        raise type(error)(f"{error}; {kept}") from None
    logger.info("pushed %s to %s", change.commit[:12], change.checkout.branch)
