"""clone: the repository, into the trusted place and from there into the agent's work tree."""

import time
from collections.abc import Callable
from typing import Final

from git import RemoteProgress
from prefect import get_run_logger

from flows.parameters.implement import ImplementParameters
from flows.repository.clone import Checkout
from flows.repository.clone import clone as clone_repository
from flows.repository.clone import clone_again as clone_known
from flows.repository.credentials import GitCredentials
from flows.repository.remote import Remote
from flows.sandbox.workspace import Workspace
from flows.tasks.task import step

_PROGRESS_SECONDS: Final = 5


@step("clone")
def clone(request: ImplementParameters, credentials: GitCredentials, workspace: Workspace) -> Checkout:
    """Return where the work starts from."""
    logger = get_run_logger()
    checkout = clone_repository(
        workspace,
        remote(request, credentials, workspace),
        branch=request.branch_name,
        base_branch=request.base_branch,
        depth=request.clone_depth,
        allow_default_branch=request.allow_default_branch,
        progress=LoggedProgress(logger.info),
    )
    verb = "continues" if checkout.continues else f"starts from {checkout.base_branch} as"
    logger.info("%s: the work %s %s at %s", request.repo_url, verb, checkout.branch, checkout.base_commit[:12])
    return checkout


@step("clone")
def clone_again(
    request: ImplementParameters,
    credentials: GitCredentials,
    workspace: Workspace,
    checkout: Checkout,
    *,
    work_tree: bool,
) -> None:
    """Fetch what an earlier execution of the run started from, with a work tree where an agent is to go on."""
    logger = get_run_logger()
    clone_known(
        workspace,
        remote(request, credentials, workspace),
        checkout,
        depth=request.clone_depth,
        progress=LoggedProgress(logger.info),
        work_tree=work_tree,
    )
    logger.info("%s: the work goes on from %s at %s", request.repo_url, checkout.base_branch, checkout.base_commit[:12])


def remote(request: ImplementParameters, credentials: GitCredentials, workspace: Workspace) -> Remote:
    """Return the run's repository with the token for it."""
    return Remote(request.repo_url, credentials.token, credentials.username, workspace.trusted)


class LoggedProgress(RemoteProgress):
    """git's progress, as a line for each stage that ends and one every few seconds of a long one."""

    def __init__(self, log: Callable[..., None]) -> None:
        super().__init__()
        self._log = log
        self._next = time.monotonic() + _PROGRESS_SECONDS

    def line_dropped(self, line: str) -> None:
        """Pass over what is not progress."""

    def update(
        self, op_code: int, cur_count: str | float, max_count: str | float | None = None, message: str = ""
    ) -> None:
        """Log one line of progress where it is due."""
        now = time.monotonic()
        if not op_code & self.END and now < self._next:
            return
        self._next = now + _PROGRESS_SECONDS
        stage = _STAGES.get(op_code & self.OP_MASK, "working")
        self._log("git: %s %.0f of %.0f %s", stage, float(cur_count), float(max_count or cur_count), message)


_STAGES: Final = {
    RemoteProgress.COUNTING: "counting",
    RemoteProgress.COMPRESSING: "compressing",
    RemoteProgress.RECEIVING: "receiving",
    RemoteProgress.RESOLVING: "resolving",
    RemoteProgress.WRITING: "writing",
    RemoteProgress.FINDING_SOURCES: "finding sources",
    RemoteProgress.CHECKING_OUT: "checking out",
}
