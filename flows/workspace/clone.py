"""From the remote to the agent's work tree, by way of `clean.git`."""

from dataclasses import dataclass
from pathlib import Path

from git import RemoteProgress

from flows.errors import BaseRefNotFound, BranchConflict, ProtectedBranch
from flows.workspace import git
from flows.workspace.directory import Workspace
from flows.workspace.remote import Remote, RemoteRefs

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
    if branch == refs.default_branch and not allow_default_branch:
        raise ProtectedBranch(
            f"{branch!r} is the default branch: choose another branch_name, or set allow_default_branch"
        )
    if branch in refs.branches:
        return branch
    for other in refs.branches:
        if other.startswith(f"{branch}/") or branch.startswith(f"{other}/"):
            raise BranchConflict(f"branch {branch!r} cannot exist beside {other!r}: choose another branch_name")
    start = base_branch or refs.default_branch
    if start not in refs.branches:
        known = ", ".join(sorted(refs.branches)[:10])
        raise BaseRefNotFound(f"base_branch {start!r} is not on the remote; it has {known}")
    return start


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
    clean = _empty_repository(workspace)
    remote.fetch(clean, start, depth, progress)
    base = git.check(git.command(["rev-parse", f"refs/remotes/origin/{start}^{{commit}}"], git_dir=clean)).text
    _start_at(clean, branch, base)
    _cut_work_tree(workspace, remote.url.url)
    return Checkout(branch, start, base, _project_memory(workspace, base))


def clone_again(
    workspace: Workspace, remote: Remote, checkout: Checkout, *, depth: int, progress: RemoteProgress, work_tree: bool
) -> None:
    """Fetch what an earlier execution of the run started from, wherever its branch is by now.

    Args:
        workspace: Where to.
        remote: Where from.
        checkout: What the work started from.
        depth: How many commits of the history; 0 for all.
        progress: Told what git says of its progress.
        work_tree: Whether an agent is to go on, and needs one.
    """
    clean = _empty_repository(workspace)
    remote.fetch_commit(clean, checkout.base_commit, checkout.base_branch, depth, progress)
    _start_at(clean, checkout.branch, checkout.base_commit)
    if work_tree:
        _cut_work_tree(workspace, remote.url.url)


def _empty_repository(workspace: Workspace) -> Path:
    clean = workspace.clean_git
    git.check(git.command(["init", "--quiet", "--bare", "--template=", str(clean)]))
    return clean


def _start_at(clean: Path, branch: str, base: str) -> None:
    git.check(git.command(["update-ref", f"refs/heads/{branch}", base], git_dir=clean))
    git.check(git.command(["symbolic-ref", "HEAD", f"refs/heads/{branch}"], git_dir=clean))


def _cut_work_tree(workspace: Workspace, repo_url: str) -> None:
    """Copy the objects as ourselves; check the files out as the agent, who could run anyway what that runs."""
    tree = workspace.work_tree
    ours = ["user.name=Claude Code", "user.email=noreply@anthropic.com", "advice.detachedHead=false"]
    configuration = [part for item in ours for part in ("--config", item)]
    source = ["--no-checkout", "--no-local", "--no-tags", "--template=", *configuration, str(workspace.clean_git)]
    git.check(git.command(["clone", "--quiet", *source, str(tree)], config=["protocol.file.allow=always"]))
    git.check(git.command(["remote", "set-url", "origin", repo_url], git_dir=tree / ".git"))
    workspace.agent.give(tree)
    workspace.git_as_agent("reset", "--quiet", "--hard")


def _project_memory(workspace: Workspace, commit: str) -> str:
    """Read from the objects, not from the work tree: a link there could name any file of ours."""
    for path in PROJECT_MEMORY:
        if text := _blob_text(workspace, commit, path):
            return text
    return ""


def _blob_text(workspace: Workspace, commit: str, path: str, *, follow: bool = True) -> str:
    entry = git.check(git.command(["ls-tree", "-z", commit, "--", path], git_dir=workspace.clean_git)).text
    mode = entry.partition(" ")[0]
    if not mode or mode == _DIRECTORY:
        return ""
    blob = git.check(git.command(["cat-file", "blob", f"{commit}:{path}"], git_dir=workspace.clean_git))
    if mode == _SYMLINK:
        linked = follow and blob.text in PROJECT_MEMORY
        return _blob_text(workspace, commit, blob.text, follow=False) if linked else ""
    return blob.stdout[:_MEMORY_MAX_BYTES].decode("utf-8", "replace")
