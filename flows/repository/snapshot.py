"""The work tree as it is at a moment, taken while the agent goes on, and put back on another machine."""

from pathlib import Path

from flows.errors import AgentRepoInvalid, RunError
from flows.repository.agent_commit import commit_work_tree
from flows.repository.agent_git import git_as_agent
from flows.repository.collect import bundle_of, fetch_objects
from flows.repository.git_commands import run_git
from flows.sandbox import commands
from flows.sandbox.workspace import Workspace

_REF = "refs/claude-code-headless/checkpoint"
_ALLOW_BUNDLE = ("-c", "protocol.file.allow=always")


def take(workspace: Workspace, base: str) -> str:
    """Return a commit of `clean.git` that holds the work tree as it is now; the base itself where nothing is changed.

    Raises:
        GitFailed: The agent's repository does not let us; a later look may find it in order.
    """
    try:
        return _take(workspace, base, workspace.tmp / "checkpoint.index")
    except RunError:
        # Whatever is wrong with it, the next look shall not meet it again.
        commands.run(workspace, ["rm", "-f", str(workspace.tmp / "checkpoint.index")], beside_agent=True)
        raise


def _take(workspace: Workspace, base: str, index: Path) -> str:
    # Always the same commit for the same tree, so that what is not new is seen not to be.
    dates = {f"GIT_{role}_DATE": "@0 +0000" for role in ("AUTHOR", "COMMITTER")}
    tree = commit_work_tree(
        workspace, base, _REF, index=index, environment=dates, despite_faults=True, beside_agent=True
    )
    if tree == run_git(["rev-parse", f"{base}^{{tree}}"], git_dir=workspace.clean_git).text:
        return base
    fetch_objects(workspace, workspace.work_tree / ".git", _REF)
    return run_git(["rev-parse", _REF], git_dir=workspace.clean_git).text


def bundled(workspace: Workspace, base: str) -> bytes:
    """Return the last snapshot that was taken as a bundle on top of the base."""
    return bundle_of(workspace.clean_git, _REF, base)


def restore(workspace: Workspace, bundle: bytes, commit: str, base: str) -> None:
    """Put a snapshot's files back into a fresh work tree, as changes that nobody committed.

    Raises:
        AgentRepoInvalid: The bundle does not hold the commit.
    """
    file = workspace.lend(workspace.config / "checkpoint.bundle", bundle)
    git_as_agent(workspace, *_ALLOW_BUNDLE, "fetch", "--quiet", "--no-write-fetch-head", str(file), f"+{_REF}:{_REF}")
    if git_as_agent(workspace, "rev-parse", _REF).text != commit:
        raise AgentRepoInvalid(f"the checkpoint does not hold {commit}")
    git_as_agent(workspace, "read-tree", "--reset", "-u", commit)
    git_as_agent(workspace, "reset", "--quiet", base)
