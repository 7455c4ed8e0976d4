"""From the remote to the agent's work tree, by way of `clean.git`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from git import RemoteProgress

from flows.errors import BaseRefNotFound, BranchConflict
from flows.repository.git_commands import run_git
from flows.repository.protection import check_protection
from flows.repository.remote import Remote, RemoteRefs
from flows.repository.work_tree import cut_work_tree
from flows.sandbox.workspace import Workspace

PROJECT_MEMORY = ("CLAUDE.md", ".claude/CLAUDE.md", "AGENTS.md")
"""Where a repository keeps its word to coding agents; the first one there counts, as with Claude Code itself."""

_MEMORY_MAX_BYTES = 200_000
_SYMLINK = "120000"
_DIRECTORY = "040000"


@dataclass(frozen=True)
class Checkout:
    """Where the work starts from and where it will be pushed."""

    branch: str
    base_branch: str
    """The branch that the work starts from: `branch` itself where the remote has it already."""
    base_commit: str
    project_memory: str
    """The repository's CLAUDE.md or AGENTS.md; empty where it has none."""

    @property
    def continues(self) -> bool:
        """Whether the branch was on the remote before this run."""
        return self.branch == self.base_branch


def plan(refs: RemoteRefs, branch: str, base_branch: str, *, allow_default_branch: bool) -> str:
    """Return the branch to start from; raise the named error of a branch that could not be pushed at the end."""
    check_target(refs, branch, allow_default_branch=allow_default_branch)
    if branch in refs.branches:
        return branch
    start = base_branch or refs.default_branch
    known = ", ".join(sorted(refs.branches)[:10])
    if not base_branch and not refs.default_is_known:
        raise BaseRefNotFound(
            "the remote does not say which branch is its default branch: name the branch to start from as base_branch; "
            f"it has {known}"
        )
    if start not in refs.branches:
        raise BaseRefNotFound(f"base_branch {start!r} is not on the remote; it has {known}")
    return start


def check_target(refs: RemoteRefs, branch: str, *, allow_default_branch: bool) -> None:
    """Raise `ProtectedBranch` or `BranchConflict` for a branch that could not be pushed."""
    check_protection(refs, branch, allow_default_branch=allow_default_branch)
    if branch in refs.branches:
        return
    for other in refs.branches:
        if other.startswith(f"{branch}/") or branch.startswith(f"{other}/"):
            raise BranchConflict(f"branch {branch!r} cannot exist beside {other!r}: choose another branch_name")


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
    """Fetch what the work starts from into `clean.git`, and cut the agent's work tree from it."""
    start = plan(remote.refs(), branch, base_branch, allow_default_branch=allow_default_branch)
    clean = _empty_repository(workspace, branch)
    remote.fetch(clean, start, depth, progress)
    base = run_git(["rev-parse", f"refs/remotes/origin/{start}^{{commit}}"], git_dir=clean).text
    _start_at(clean, branch, base)
    cut_work_tree(workspace, remote.url.url, branch, base)
    return Checkout(branch, start, base, _project_memory(workspace, base))


def fetch_base(
    workspace: Workspace, remote: Remote, checkout: Checkout, *, depth: int, progress: RemoteProgress, work_tree: bool
) -> None:
    """Fetch the base that an earlier attempt of the run started from, wherever its branch is by now.

    Args:
        workspace: The run's directories.
        remote: The repository.
        checkout: Where the work started from.
        depth: How many commits of history to fetch; 0 fetches all.
        progress: Receives git's progress.
        work_tree: Whether to cut a work tree for the agent.
    """
    clean = _empty_repository(workspace, checkout.branch)
    remote.fetch_commit(clean, checkout.base_commit, checkout.base_branch, depth, progress)
    _start_at(clean, checkout.branch, checkout.base_commit)
    if work_tree:
        cut_work_tree(workspace, remote.url.url, checkout.branch, checkout.base_commit)


def _empty_repository(workspace: Workspace, branch: str) -> Path:
    clean = workspace.clean_git
    arguments = ["init", "--quiet", "--bare", "--template=", f"--initial-branch={branch}", str(clean)]
    run_git(arguments)
    return clean


def _start_at(clean: Path, branch: str, base: str) -> None:
    run_git(["update-ref", f"refs/heads/{branch}", base], git_dir=clean)


def _project_memory(workspace: Workspace, commit: str) -> str:
    """Read from the objects, not from the work tree: a link there could name any file of ours."""
    arguments = ["ls-tree", "-z", commit, "--", *PROJECT_MEMORY]
    listing = run_git(arguments, git_dir=workspace.clean_git).text.split("\0")
    entries = (entry.partition("\t") for entry in listing if entry)
    modes = {path: head.partition(" ")[0] for head, _, path in entries}
    texts = (_blob_text(workspace, commit, path, modes) for path in PROJECT_MEMORY if path in modes)
    return next((text for text in texts if text), "")


def _blob_text(workspace: Workspace, commit: str, path: str, modes: Mapping[str, str], *, follow: bool = True) -> str:
    if modes.get(path, _DIRECTORY) == _DIRECTORY:
        return ""
    blob = run_git(["cat-file", "blob", f"{commit}:{path}"], git_dir=workspace.clean_git)
    if modes[path] == _SYMLINK:
        return _blob_text(workspace, commit, blob.text, modes, follow=False) if follow else ""
    return blob.stdout[:_MEMORY_MAX_BYTES].decode("utf-8", "replace")
