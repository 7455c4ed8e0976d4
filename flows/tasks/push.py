"""push: the commit, to its branch. It may be tried as often as one likes: the commit is the same each time."""

from prefect import get_run_logger

from blocks.git_credentials import GitCredentials
from flows.errors import BranchConflict, PushRejected, RunError
from flows.parameters import Request
from flows.tasks.claude import Work
from flows.tasks.clone import remote
from flows.tasks.policy import step
from flows.workspace.collect import Change
from flows.workspace.directory import Workspace
from flows.workspace.policies import check_change
from flows.workspace.remote import Remote


@step("push")
def push(request: Request, credentials: GitCredentials, workspace: Workspace, work: Work) -> None:
    """Put the commit on the remote, if the policies allow; nothing happens where there is nothing to change."""
    logger, change = get_run_logger(), work.change
    if not change.commit:
        logger.info("nothing to change, nothing to push")
        return
    try:
        check_change(workspace.clean_git, change, request.commit_message, request.policy)
        _push(remote(request, credentials, workspace), workspace, change)
    except RunError as error:
        how = f"git fetch <that file> {change.checkout.branch} gets it into any clone"
        raise type(error)(f"{error}; the change is kept as {work.kept}: {how}") from None
    logger.info("pushed %s to %s", change.commit[:12], change.checkout.branch)


def _push(target: Remote, workspace: Workspace, change: Change) -> None:
    branch = change.checkout.branch
    try:
        target.push(workspace.clean_git, change.commit, branch)
    except PushRejected:
        there = target.refs().branches.get(branch, "")
        if there == (change.checkout.base_commit if change.checkout.continues else ""):
            raise
        raise BranchConflict(f"{branch} moved to {there[:12]} while the agent worked") from None
