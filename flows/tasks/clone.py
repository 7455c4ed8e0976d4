"""The step `clone`: fetches the repository into the trusted directory, and from there into the agent's work tree."""

import time
from collections.abc import Callable
from typing import Final

from git import RemoteProgress
from prefect import get_run_logger

from flows.repository.clone import Checkout, fetch_base
from flows.repository.clone import clone as clone_repository
from flows.repository.credentials import GitCredentials
from flows.repository.remote import Remote
from flows.run.run import Run
from flows.tasks.task import step

_PROGRESS_SECONDS: Final = 5


@step("clone")
def clone(run: Run, credentials: GitCredentials) -> Checkout:
    """Return the commit from which the work starts: that of an earlier attempt, or the current one of the branch."""
    return _fetch_again(run, credentials, run.saved.plan.checkout) if run.saved.plan else _clone(run, credentials)


def _clone(run: Run, credentials: GitCredentials) -> Checkout:
    request, logger = run.request, get_run_logger()
    checkout = clone_repository(
        run.workspace,
        remote(run, credentials),
        branch=request.branch_name,
        base_branch=request.base_branch,
        depth=request.clone_depth,
        allow_default_branch=request.allow_default_branch,
        progress=LoggedProgress(logger.info),
    )
    verb = "continues" if checkout.continues else f"starts from {checkout.base_branch} as"
    logger.info("%s: the work %s %s at %s", request.repo_url, verb, checkout.branch, checkout.base_commit[:12])
    return checkout


def _fetch_again(run: Run, credentials: GitCredentials, checkout: Checkout) -> Checkout:
    """Fetch the same base commit again, with a work tree if the agent has not finished."""
    logger = get_run_logger()
    fetch_base(
        run.workspace,
        remote(run, credentials),
        checkout,
        depth=run.request.clone_depth,
        progress=LoggedProgress(logger.info),
        work_tree=run.saved.finished is None,
    )
    logger.info(
        "%s: the work resumes from %s at %s", run.request.repo_url, checkout.base_branch, checkout.base_commit[:12]
    )
    return checkout


def remote(run: Run, credentials: GitCredentials) -> Remote:
    """Return the run's remote; raise `RepositoryNotAllowed` if the credentials are bound to other repositories."""
    return Remote(run.request.repo_url, credentials, run.workspace.trusted)


class LoggedProgress(RemoteProgress):
    """Logs git's progress: one line when a stage ends, and one every few seconds during a long stage."""

    def __init__(self, log: Callable[..., None]) -> None:
        super().__init__()
        self._log = log
        self._next = time.monotonic() + _PROGRESS_SECONDS

    def line_dropped(self, line: str) -> None:
        """Ignore a line that does not report progress."""

    def update(
        self, op_code: int, cur_count: str | float, max_count: str | float | None = None, message: str = ""
    ) -> None:
        """Log one line of progress at the end of a stage, or if the last line is a few seconds old."""
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
