"""Checks that the second parent of a merge is still on the branch of the remote that it was fetched from.

A push sends all commits that the remote lacks. If somebody has removed commits from that branch since, such as those
with a secret, the push of the merge would bring them back.
"""

from pathlib import Path
from typing import Final

from git import RemoteProgress

from flows.errors import BaseRewritten, GitFailed
from flows.repository.git_commands import command_line, execute_git, run_git
from flows.repository.remote import Remote
from flows.repository.remote_refs import RemoteRefs

_REF: Final = "refs/claude-code-headless/newest-base"
_WHOLE_HISTORY: Final = 0x7FFFFFFF
"""The depth with which git completes a shallow repository; git-fetch(1) calls it --unshallow."""

_ADVICE: Final = (
    "nothing was pushed, because a push would bring back what was removed there. Start follow_up with merge_base "
    "again, which merges the branch as it is now"
)


def check_merged_commit(target: Remote, git_dir: Path, commit: str, branch: str, refs: RemoteRefs) -> None:
    """Check the second parent of a merge just before the push.

    Args:
        target: The remote.
        git_dir: The trusted repository, which has the commit.
        commit: The second parent.
        branch: The branch of the remote that had the commit.
        refs: The branches of the remote now.

    Raises:
        BaseRewritten: The branch was deleted, or was reset to commits without this one.
    """
    tip = refs.branches.get(branch, "")
    if tip == commit:
        return
    if not tip:
        raise BaseRewritten(f"{_merged(commit, branch)}, and {branch} was deleted on the remote since: {_ADVICE}")
    refspec = [f"+refs/heads/{branch}:{_REF}"]
    target.fetch(git_dir, refspec, 0, RemoteProgress())
    if not _is_ancestor(git_dir, commit) and (git_dir / "shallow").exists():
        target.fetch(git_dir, refspec, _WHOLE_HISTORY, RemoteProgress())
    if not _is_ancestor(git_dir, commit):
        text = f"{_merged(commit, branch)}, and {branch} was reset to {tip[:12]} since, which does not have it"
        raise BaseRewritten(f"{text}: {_ADVICE}")


def fetch_merged_commit(target: Remote, git_dir: Path, commit: str, branch: str, progress: RemoteProgress) -> None:
    """Fetch the second parent from a server that serves only branches and tags.

    Raises:
        BaseRewritten: The branch no longer has it.
    """
    try:
        target.fetch(git_dir, [f"+refs/heads/{branch}:{_REF}"], 0, progress)
        run_git(["cat-file", "-e", f"{commit}^{{commit}}"], git_dir=git_dir)
    except GitFailed:
        text = f"{_merged(commit, branch)}, which the remote does not have any more"
        raise BaseRewritten(f"{text}: {_ADVICE}") from None


def _merged(commit: str, branch: str) -> str:
    return f"the change merges the commit {commit[:12]} of {branch}"


def _is_ancestor(git_dir: Path, commit: str) -> bool:
    line = command_line(["merge-base", "--is-ancestor", commit, _REF], git_dir=git_dir)
    return execute_git(line).status == 0
