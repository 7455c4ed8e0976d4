"""Clones the repository: from the remote into the trusted repository `clean.git`, and from there into the work tree."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from git import RemoteProgress

from flows.errors import BaseRefNotFound, BranchConflict, GitFailed
from flows.repository.base_branch import start_of_work
from flows.repository.checkout_refs import Ref, write_packed_refs
from flows.repository.git_commands import run_git
from flows.repository.merged_commit import fetch_merged_commit
from flows.repository.protection import check_protection
from flows.repository.remote import Remote
from flows.repository.remote_refs import RemoteRefs
from flows.repository.repository_file import read_repository_file
from flows.repository.start_point import StartPoint, branches, find_start_point
from flows.repository.submodule_checkout import fetch_submodules
from flows.repository.work_tree import create_work_tree
from flows.sandbox.services import Service
from flows.sandbox.workspace import Workspace

_MERGED_REF: Final = "refs/claude-code-headless/merged"


@dataclass(frozen=True)
class Checkout:
    """The commit that the work starts from, and the branch that the work will be pushed to."""

    branch: str
    """The branch that the work will be pushed to."""
    base_branch: str
    """The branch or tag that the work starts from, or the id of a commit. It is `branch` if the remote has `branch`."""
    base_commit: str
    project_memory: str = ""
    """What the repository says to coding agents, as text; empty if it says nothing."""
    agent_files: str = ""
    """What the run uses of the repository's files for coding agents, such as `CLAUDE.md, 2 rules`, for people."""
    base_ref: str = ""
    """The ref of `base_branch` on the remote, or the id of a commit; empty for a branch."""
    setup_command: str = ""
    """The setup command in the repository's file of settings; empty if there is none."""
    setup_source: str = ""
    """The repository's file of settings, its branch and its commit, for people; empty without such a file."""
    cache: tuple[str, ...] = ()
    """The paths of files that the setup makes, and that a later run's setup can use."""
    cache_branch: str = ""
    """The branch whose runs share these files; empty if the work starts from a tag or a commit."""
    services: tuple[Service, ...] = ()
    """The services in the repository's file of settings."""
    verify_commands: str = ""
    """The commands that check a change, in the repository's file of settings; empty if there are none."""
    junit: tuple[str, ...] = ()
    """Patterns of the paths of the JUnit files that these commands write."""
    merged_commit: str = ""
    """The commit of the base branch that is merged into the work, and becomes a parent; empty without a merge."""
    merged_branch: str = ""
    """The base branch that has this commit."""

    @property
    def continues(self) -> bool:
        """Whether the remote already had `branch`, so that the run adds a commit to that branch."""
        return self.start.is_branch and self.branch == self.base_branch

    @property
    def start(self) -> StartPoint:
        """The branch, tag or commit that the work starts from."""
        return StartPoint(self.base_branch, self.base_ref) if self.base_ref else StartPoint.of_branch(self.base_branch)


def choose_start_point(refs: RemoteRefs, branch: str, base_branch: str, *, allow_default_branch: bool) -> StartPoint:
    """Return where to start: from `branch` if the remote has it, otherwise from `base_branch` or the default branch.

    Raises:
        ProtectedBranch, BranchConflict: The run would not be able to push `branch` at its end.
        BaseRefNotFound: The remote does not have what to start from, or does not say which branch is its default.
    """
    check_target(refs, branch, allow_default_branch=allow_default_branch)
    if branch in refs.branches:
        return StartPoint.of_branch(branch)
    if not base_branch and not refs.default_is_known:
        raise BaseRefNotFound(
            "the remote does not say which branch is its default branch: set base_branch to the branch to start from; "
            f"the remote has {branches(refs)}"
        )
    return find_start_point(refs, base_branch) if base_branch else StartPoint.of_branch(refs.default_branch)


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
    submodules: bool = False,
    lfs: bool = False,
) -> Checkout:
    """Fetch what the work starts from into `clean.git`, create the agent's work tree from it, and return the checkout.

    Raises:
        ProtectedBranch, BranchConflict, BaseRefNotFound: See `choose_start_point`.
        InvalidRepositoryFile: See `read_repository_file`.
        RunError: git, or the remote, reported another error.
    """
    refs = remote.refs()
    start = choose_start_point(refs, branch, base_branch, allow_default_branch=allow_default_branch)
    clean = _empty_repository(workspace, branch)
    others = _other_branches(refs, start, base_branch)
    try:
        _fetch(clean, remote, refs, [point.refspec for point in (start, *others)], depth, progress)
    except GitFailed as error:
        raise _missing_commit(start, remote) if start.is_commit else error from None
    base = _commit_at(clean, start)
    file = read_repository_file(clean, refs.default_branch if refs.default_is_known else "")
    _set_branch(clean, branch, base)
    checkout = Checkout(
        branch,
        start.name,
        base,
        base_ref="" if start.is_branch else start.ref,
        setup_command=file.setup,
        setup_source=file.source,
        cache=file.cache,
        cache_branch=_cache_branch(refs, start, branch, base_branch) if file.cache else "",
        services=file.services,
        verify_commands=file.verify,
        junit=file.junit,
    )
    check_out(workspace, remote, checkout, refs, depth if submodules else None, lfs=lfs)
    return checkout


def fetch_base(
    workspace: Workspace,
    remote: Remote,
    checkout: Checkout,
    *,
    base_branch: str,
    depth: int,
    progress: RemoteProgress,
    work_tree: bool,
    submodules: bool = False,
    lfs: bool = False,
) -> None:
    """Fetch the base commit of an earlier attempt of the run into `clean.git`, even if the base branch has moved since.

    Args:
        workspace: The run's directories.
        remote: The remote repository.
        checkout: The checkout of the earlier attempt.
        base_branch: The parameter of the run.
        depth: How many commits of history to fetch; 0 fetches all.
        progress: Receives git's progress lines.
        work_tree: Whether to create a work tree for the agent as well.
        submodules: Whether the work tree has the files of the submodules.
        lfs: Whether the work tree has the files of Git LFS, instead of their pointers.

    Raises:
        BaseRewritten: The commit that is merged into the work is not on its branch any more.
        RunError: git, or the remote, reported another error.
    """
    clean = _empty_repository(workspace, checkout.branch)
    start, commit = checkout.start, checkout.base_commit
    refs = remote.refs() if work_tree else RemoteRefs({}, "")
    others = [point.refspec for point in _other_branches(refs, start, base_branch)]
    merged = [f"+{checkout.merged_commit}:{_MERGED_REF}"] if checkout.merged_commit else []
    try:
        _fetch(clean, remote, refs, [f"+{commit}:{start.local_ref}", *others, *merged], depth, progress)
    except GitFailed:
        # Some servers serve only branches and tags. The commit is in the history of the one that the work started from.
        if start.is_commit:
            raise
        _fetch(clean, remote, refs, [start.refspec, *others], 0, progress)
        run_git(["cat-file", "-e", f"{commit}^{{commit}}"], git_dir=clean)
        if checkout.merged_commit:
            fetch_merged_commit(remote, clean, checkout.merged_commit, checkout.merged_branch, progress)
    _set_branch(clean, checkout.branch, commit)
    if work_tree:
        check_out(workspace, remote, checkout, refs, depth if submodules else None, lfs=lfs)


def _fetch(
    clean: Path, remote: Remote, refs: RemoteRefs, refspecs: Sequence[str], depth: int, progress: RemoteProgress
) -> None:
    """Fetch commits and tags: all tags of `refs` if `depth` is 0, otherwise the tags of the fetched commits."""
    if depth:
        remote.fetch(clean, refspecs, depth, progress, tags=bool(refs.tags))
        return
    remote.fetch(clean, [*refspecs, *sorted({tag.id for tag in refs.tags.values()})], 0, progress)
    # git itself would write a file for each tag, which takes minutes if there are many thousands.
    write_packed_refs(clean, (Ref(f"refs/tags/{name}", tag.id, tag.peeled) for name, tag in refs.tags.items()))


def _other_branches(refs: RemoteRefs, start: StartPoint, base_branch: str) -> list[StartPoint]:
    """Return the branches that the agent may want to compare with, other than the one that the work starts from."""
    names = dict.fromkeys(name for name in (refs.default_branch, base_branch) if name in refs.branches)
    return [point for point in map(StartPoint.of_branch, names) if point != start]


def _cache_branch(refs: RemoteRefs, start: StartPoint, branch: str, base_branch: str) -> str:
    """Return the branch whose cached files the setup can use. That is never a branch which the run continues."""
    if not start.is_branch:
        return ""
    default = refs.default_branch if refs.default_is_known else ""
    return (base_branch if base_branch in refs.branches else default) if start.name == branch else start.name


def _commit_at(clean: Path, start: StartPoint) -> str:
    try:
        return run_git(["rev-parse", "--verify", f"{start.local_ref}^{{commit}}"], git_dir=clean).text
    except GitFailed:
        raise BaseRefNotFound(
            f"base_branch {start.name!r} is not a commit: set base_branch to a branch, to a tag of a commit, or to the "
            "full id of a commit"
        ) from None


def _missing_commit(start: StartPoint, remote: Remote) -> BaseRefNotFound:
    return BaseRefNotFound(
        f"{remote.url} has no commit {start.name}, or does not serve commits by their ids: check the id, or set "
        "base_branch to a branch or a tag that points to the commit"
    )


def check_out(
    workspace: Workspace,
    remote: Remote,
    checkout: Checkout,
    refs: RemoteRefs,
    submodule_depth: int | None,
    *,
    lfs: bool,
) -> None:
    """Create the agent's work tree from the commits in `clean.git`.

    Args:
        workspace: The run's directories.
        remote: The remote repository, which has the files of Git LFS.
        checkout: What to check out.
        refs: The refs of the remote.
        submodule_depth: How many commits of the submodules to fetch; 0 fetches all, and None fetches no submodules.
        lfs: Whether the work tree has the files of Git LFS, instead of their pointers.
    """
    base = checkout.base_commit
    if lfs:
        from flows.repository.lfs_files import fetch_lfs_files  # noqa: PLC0415 (only some runs need an HTTP client here)

        fetch_lfs_files(workspace, remote, base, start_of_work(workspace.clean_git, base, checkout.merged_commit))
    submodules = [] if submodule_depth is None else fetch_submodules(workspace, remote, base, submodule_depth)
    create_work_tree(
        workspace,
        remote.url.url,
        checkout.branch,
        base,
        submodules=submodules,
        default_branch=refs.default_branch if refs.default_is_known else "",
        upstream=checkout.base_branch if checkout.start.is_branch else "",
    )


def _empty_repository(workspace: Workspace, branch: str) -> Path:
    clean = workspace.clean_git
    arguments = ["init", "--quiet", "--bare", "--template=", f"--initial-branch={branch}", str(clean)]
    run_git(arguments)
    return clean


def _set_branch(clean: Path, branch: str, base: str) -> None:
    run_git(["update-ref", f"refs/heads/{branch}", base], git_dir=clean)
