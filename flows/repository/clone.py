"""Clones the repository: from the remote into the trusted repository `clean.git`, and from there into the work tree."""

from dataclasses import dataclass
from pathlib import Path

from git import RemoteProgress

from flows.errors import BaseRefNotFound, BranchConflict
from flows.repository.git_commands import run_git
from flows.repository.protection import check_protection
from flows.repository.remote import Remote, RemoteRefs
from flows.repository.repository_file import read_repository_file
from flows.repository.work_tree import create_work_tree
from flows.sandbox.workspace import Workspace


@dataclass(frozen=True)
class Checkout:
    """The commit that the work starts from, and the branch that the work will be pushed to."""

    branch: str
    """The branch that the work will be pushed to."""
    base_branch: str
    """The branch that the work starts from. It is the same as `branch` if the remote already has `branch`."""
    base_commit: str
    project_memory: str = ""
    """What the repository says to coding agents, as text; empty if it says nothing."""
    agent_files: str = ""
    """What the run uses of the repository's files for coding agents, such as `CLAUDE.md, 2 rules`, for people."""
    setup_command: str = ""
    """The setup command in the repository's file of settings; empty if there is none."""
    setup_source: str = ""
    """Where `setup_command` comes from, for people."""

    @property
    def continues(self) -> bool:
        """Whether the remote already had `branch`, so that the run adds a commit to that branch."""
        return self.branch == self.base_branch


def choose_start_branch(refs: RemoteRefs, branch: str, base_branch: str, *, allow_default_branch: bool) -> str:
    """Return the branch to start from: `branch` if the remote has it, otherwise `base_branch` or the default branch.

    Raises:
        ProtectedBranch, BranchConflict: The run would not be able to push `branch` at its end.
        BaseRefNotFound: The remote does not have the branch to start from, or does not say which branch is its default.
    """
    check_target(refs, branch, allow_default_branch=allow_default_branch)
    if branch in refs.branches:
        return branch
    start = base_branch or refs.default_branch
    existing = ", ".join(sorted(refs.branches)[:10])
    if not base_branch and not refs.default_is_known:
        raise BaseRefNotFound(
            "the remote does not say which branch is its default branch: set base_branch to the branch to start from; "
            f"the remote has {existing}"
        )
    if start not in refs.branches:
        raise BaseRefNotFound(f"base_branch {start!r} is not on the remote; the remote has {existing}")
    return start


def check_target(refs: RemoteRefs, branch: str, *, allow_default_branch: bool) -> None:
    """Raise `ProtectedBranch` or `BranchConflict` if the run would not be able to push the branch at its end."""
    check_protection(refs, branch, allow_default_branch=allow_default_branch)
    if branch in refs.branches:
        return
    for other in refs.branches:
        if other.startswith(f"{branch}/") or branch.startswith(f"{other}/"):
            raise BranchConflict(
                f"the remote has the branch {other!r}, and git allows no branch {branch!r} beside it: choose another "
                "branch_name"
            )


def clone(
    workspace: Workspace,
    remote: Remote,
    *,
    branch: str,
    base_branch: str,
    depth: int,
    allow_default_branch: bool,
    progress: RemoteProgress,
) -> Checkout:
    """Fetch the branch to start from into `clean.git`, create the agent's work tree from it, and return the checkout.

    Raises:
        ProtectedBranch, BranchConflict, BaseRefNotFound: See `choose_start_branch`.
        InvalidRepositoryFile: See `read_repository_file`.
        RunError: git, or the remote, reported another error.
    """
    refs = remote.refs()
    start = choose_start_branch(refs, branch, base_branch, allow_default_branch=allow_default_branch)
    clean = _empty_repository(workspace, branch)
    default = refs.default_branch if refs.default_is_known else ""
    if default not in {"", start}:
        # This comes first: a shallow fetch afterwards could cut off the history of the branch to start from.
        remote.fetch(clean, default, min(depth, 1), progress)
    remote.fetch(clean, start, depth, progress)
    file = read_repository_file(clean, default)
    base = run_git(["rev-parse", f"refs/remotes/origin/{start}^{{commit}}"], git_dir=clean).text
    _set_branch(clean, branch, base)
    create_work_tree(workspace, remote.url.url, branch, base)
    return Checkout(branch, start, base, setup_command=file.setup, setup_source=file.source)


def fetch_base(
    workspace: Workspace, remote: Remote, checkout: Checkout, *, depth: int, progress: RemoteProgress, work_tree: bool
) -> None:
    """Fetch the base commit of an earlier attempt of the run into `clean.git`, even if the base branch has moved since.

    Args:
        workspace: The run's directories.
        remote: The remote repository.
        checkout: The checkout of the earlier attempt.
        depth: How many commits of history to fetch; 0 fetches all.
        progress: Receives git's progress lines.
        work_tree: Whether to create a work tree for the agent as well.
    """
    clean = _empty_repository(workspace, checkout.branch)
    remote.fetch_commit(clean, checkout.base_commit, checkout.base_branch, depth, progress)
    _set_branch(clean, checkout.branch, checkout.base_commit)
    if work_tree:
        create_work_tree(workspace, remote.url.url, checkout.branch, checkout.base_commit)


def _empty_repository(workspace: Workspace, branch: str) -> Path:
    clean = workspace.clean_git
    arguments = ["init", "--quiet", "--bare", "--template=", f"--initial-branch={branch}", str(clean)]
    run_git(arguments)
    return clean


def _set_branch(clean: Path, branch: str, base: str) -> None:
    run_git(["update-ref", f"refs/heads/{branch}", base], git_dir=clean)
