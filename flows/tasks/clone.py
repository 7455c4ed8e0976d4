"""Defines the step `clone`: it fetches the remote into the trusted repository, and from there into the work tree."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from git import RemoteProgress
from prefect import get_run_logger

from flows.agent.repository_instructions import read_repository_instructions
from flows.errors import GitAuthFailed, RepoNotFound, RunError
from flows.repository.clone import Checkout, fetch_base
from flows.repository.clone import clone as clone_repository
from flows.repository.credentials import GitCredentials
from flows.repository.lfs_pointers import pointers_in
from flows.repository.remote import Remote
from flows.repository.submodule_checkout import submodule_paths
from flows.repository.token_expiry import token_expiry
from flows.run.pull_request import base_branch
from flows.run.rounds import needs_work_tree, verify_commands
from flows.run.run import ImplementRun, Run
from flows.tasks.task import step
from flows.verification.commands import check_syntax

_PROGRESS_SECONDS: Final = 5
_UNLIMITED_SECONDS: Final = 24 * 3600
"""The longest time, in seconds, that a run without a time limit is expected to take."""


@step("clone")
def clone(run: Run, credentials: GitCredentials) -> Checkout:
    """Fetch the commit that the work starts from, and return it: an earlier attempt's, or the branch's current one.

    Raises:
        GitAuthFailed, RepoNotFound: The token cannot read the repository. Or the token cannot push, although an agent
            would be started.
        InvalidPullRequest: There is no branch to merge into.
        InvalidVerifyCommands: There are too many verify commands, or bash cannot read one of them.
    """
    plan = run.saved.plan
    if not needs_work_tree(run):
        return _fetch_again(run, credentials, plan.checkout) if plan else _clone(run, credentials)
    with _token_check(run, credentials):
        checkout = _fetch_again(run, credentials, plan.checkout) if plan else _clone(run, credentials)
    if run.request.pull_request.is_wanted:
        base_branch(run, checkout, remote(run, credentials).refs())
    if commands := verify_commands(run, checkout):
        check_syntax(run.workspace, commands)
    return checkout


@contextmanager
def _token_check(run: Run, credentials: GitCredentials) -> Iterator[None]:
    """Check that the token can push, while the context clones the repository.

    A token that cannot push ends the run here, before an agent is paid for.
    """
    pool = ThreadPoolExecutor(thread_name_prefix="token")
    try:
        right = pool.submit(remote(run, credentials).check_push)
        expiry = pool.submit(token_expiry, run.request.repo_url, credentials.token)
        yield
        try:
            right.result()
        except (GitAuthFailed, RepoNotFound) as error:
            consequence = "no agent was started" if isinstance(run, ImplementRun) else "the change was not verified"
            raise type(error)(f"a push would fail, so {consequence}: {error}") from None
        except RunError as error:  # it may pass before the push
            get_run_logger().warning("the right to push could not be checked: %s", error)
        _check_expiry(run, expiry.result())
    finally:
        pool.shutdown(wait=False)  # the end of the run's directories ends git


def _check_expiry(run: Run, expiry: datetime | None) -> None:
    """Warn if the token may expire before the push."""
    options = run.agent.options if isinstance(run, ImplementRun) else run.request
    seconds = options.limits.agent_timeout_seconds or _UNLIMITED_SECONDS
    if expiry is not None and expiry < datetime.now(UTC) + timedelta(seconds=seconds):
        text = (
            f"the git token expires at {expiry:%Y-%m-%d %H:%M} UTC, which may be before the push: renew it now in its "
            "secret or block, which is read again before the push; if the push fails, the change is saved"
        )
        get_run_logger().warning(text)
        run.warnings.append(text)


def _clone(run: Run, credentials: GitCredentials) -> Checkout:
    request, logger = run.request, get_run_logger()
    checkout = clone_repository(
        run.workspace,
        remote(run, credentials),
        branch=request.branch_name,
        base_branch=request.base_branch,
        depth=request.clone_depth,
        submodules=request.submodules,
        lfs=request.lfs,
        allow_default_branch=request.allow_default_branch,
        progress=LoggedProgress(logger.info),
    )
    start = checkout.branch if checkout.continues else checkout.base_branch
    text = "%s: the work starts from %s at %s, and goes to the branch %s"
    logger.info(text, request.repo_url, start, checkout.base_commit[:12], checkout.branch)
    _log_submodules(run, checkout)
    _log_lfs(run, checkout)
    return _with_instructions(run, checkout)


def _log_submodules(run: Run, checkout: Checkout) -> None:
    """Log how many submodules have no files in the work tree, if the run does not fetch submodules."""
    if not run.request.submodules and (paths := submodule_paths(run.workspace.clean_git, checkout.base_commit)):
        get_run_logger().info("submodules: %d; their folders stay empty; set submodules to fetch them", len(paths))


def _log_lfs(run: Run, checkout: Checkout) -> None:
    """Log what the agent gets of the files of Git LFS, if there are any."""
    if pointers := pointers_in(run.workspace.clean_git, checkout.base_commit):
        size = sum(pointer.size for pointer in set(pointers.values())) / 10**6
        action = "their content is fetched" if run.request.lfs else "they stay pointers; set lfs to fetch their content"
        get_run_logger().info("files stored with Git LFS: %d, with %.1f MB; %s", len(pointers), size, action)


def _with_instructions(run: Run, checkout: Checkout) -> Checkout:
    """Return the checkout with what its base commit says to coding agents, and log what is used and what is not."""
    instructions = read_repository_instructions(run.workspace.clean_git, checkout.base_commit)
    get_run_logger().info("the repository's files for agents: %s", instructions.names or "none")
    if instructions.left_out:
        get_run_logger().warning("left out of the repository's files for agents: %s", instructions.left_out)
    return replace(checkout, project_memory=instructions.memory.text, agent_files=instructions.summary)


def _fetch_again(run: Run, credentials: GitCredentials, checkout: Checkout) -> Checkout:
    """Fetch the checkout's commit again, and return the checkout. Create a work tree if one is needed."""
    logger = get_run_logger()
    fetch_base(
        run.workspace,
        remote(run, credentials),
        checkout,
        base_branch=run.request.base_branch,
        depth=run.request.clone_depth,
        submodules=run.request.submodules,
        lfs=run.request.lfs,
        progress=LoggedProgress(logger.info),
        work_tree=needs_work_tree(run),
    )
    logger.info(
        "%s: the work resumes from %s at %s", run.request.repo_url, checkout.base_branch, checkout.base_commit[:12]
    )
    return checkout


def remote(run: Run, credentials: GitCredentials) -> Remote:
    """Return the run's remote; raise `RepositoryNotAllowed` if the credentials may not be used for its repository."""
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
        """Log one line of progress at the end of a stage, or when a few seconds have passed since the last line."""
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
