"""Takes snapshots of the work tree while the agent works, and restores a snapshot, perhaps on another machine."""

import shutil
from pathlib import Path

from flows.errors import AgentRepoInvalid, RunError
from flows.repository.agent_commit import commit_work_tree
from flows.repository.agent_git import git_as_agent
from flows.repository.collect import create_bundle, fetch_objects
from flows.repository.collection import create_repository
from flows.repository.git_commands import run_git
from flows.repository.lfs_objects import OBJECTS_REF, commit_objects, has_objects, restore_objects
from flows.sandbox.workspace import Workspace

_REF = "refs/claude-code-headless/checkpoint"
_ALL_REFS = "+refs/claude-code-headless/*:refs/claude-code-headless/*"
_REPOSITORY = "checkpoint.git"
_ALLOW_BUNDLE = ("-c", "protocol.file.allow=always")
_QUIETLY = ("--quiet", "--no-write-fetch-head", "--no-recurse-submodules")


def take(workspace: Workspace, base: str) -> str:
    """Commit the current files of the work tree to `clean.git`; return the commit, or the base if nothing changed.

    Raises:
        GitFailed: The agent's repository cannot be used at the moment. A later snapshot may succeed.
    """
    repository = workspace.root / _REPOSITORY
    try:
        if not repository.exists():
            create_repository(workspace, _REPOSITORY)
        return _take(workspace, base, repository)
    except RunError:
        # The index of this repository may be the cause, so the next snapshot must not use it again.
        shutil.rmtree(repository, ignore_errors=True)
        raise


def _take(workspace: Workspace, base: str, repository: Path) -> str:
    # With fixed dates the same tree always gives the same commit, so the caller can tell that nothing has changed.
    dates = {f"GIT_{role}_DATE": "@0 +0000" for role in ("AUTHOR", "COMMITTER")}
    commit = commit_work_tree(
        workspace, repository, base, _REF, environment=dates, despite_faults=True, beside_agent=True
    )
    if commit.tree == run_git(["rev-parse", f"{base}^{{tree}}"], git_dir=workspace.clean_git).text:
        return base
    fetch_objects(workspace, repository, _REF)
    if ref := commit_objects(workspace, repository, base, [_REF], beside_agent=True):
        fetch_objects(workspace, repository, ref)
    return run_git(["rev-parse", _REF], git_dir=workspace.clean_git).text


def bundle(workspace: Workspace, base: str) -> bytes:
    """Return the latest snapshot as a git bundle. Any repository that has the base can fetch from the bundle."""
    refs = [_REF, *([OBJECTS_REF] if has_objects(workspace.clean_git) else [])]
    return create_bundle(workspace.clean_git, refs, base)


def restore(workspace: Workspace, bundle: bytes, commit: str, base: str) -> None:
    """Restore the files of a snapshot in a new work tree, as uncommitted changes on top of the base.

    Raises:
        AgentRepoInvalid: The bundle does not contain the snapshot's commit.
    """
    file = workspace.lend(workspace.config / "checkpoint.bundle", bundle)
    git_as_agent(workspace, *_ALLOW_BUNDLE, "fetch", *_QUIETLY, str(file), _ALL_REFS)
    if git_as_agent(workspace, "rev-parse", _REF).text != commit:
        raise AgentRepoInvalid(f"the checkpoint's bundle does not contain commit {commit}")
    restore_objects(workspace)
    git_as_agent(workspace, "read-tree", "--reset", "-u", commit)
    git_as_agent(workspace, "reset", "--quiet", base)
    git_as_agent(workspace, "update-ref", "-d", _REF)  # otherwise it would count as work that the agent left aside


def restore_commit(workspace: Workspace, commit: str, base: str) -> None:
    """Restore the files of a commit of `clean.git` in a new work tree, as uncommitted changes on top of the base."""
    run_git(["update-ref", _REF, commit], git_dir=workspace.clean_git)
    restore(workspace, bundle(workspace, base), commit, base)
