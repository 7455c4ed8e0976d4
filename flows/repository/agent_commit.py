"""The agent's work tree as a commit in the agent's own repository: one script, run as the agent's user.

Starting and ending a process as the agent costs some 15 ms, so five git commands run as one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from flows.errors import disk_full_error
from flows.repository.agent_git import git_line, run_as_agent
from flows.sandbox.workspace import Workspace

_SCRIPT: Final = """
set -e
repository=$1 index=$2 base=$3 ref=$4 message=$5 may_fail=$6
shift 6
# The processes that held these locks were ended.
rm -f "$index.lock" "$repository/$ref.lock"
# The time stamps in the agent's own index say which files are unchanged, so that only new ones are read.
if ! test -e "$index" && test -e "$repository/index"; then
    cp --no-target-directory -- "$repository/index" "$index"
fi
# A file that was checked out in the second in which the index was written may have changed in that second: git add
# would take each for new, and write it again. This compares them.
"$@" update-index -q --refresh 2>/dev/null || :
"$@" add --all $may_fail || test -n "$may_fail"
tree=$("$@" write-tree)
commit=$("$@" -c user.name=agent -c user.email=agent@localhost commit-tree "$tree" -p "$base" -m "$message")
"$@" update-ref "$ref" "$commit"
echo "$tree"
"""


def commit_work_tree(
    workspace: Workspace,
    base: str,
    ref: str,
    *,
    repository: Path | None = None,
    index: Path | None = None,
    environment: Mapping[str, str] | None = None,
    despite_faults: bool = False,
    beside_agent: bool = False,
) -> str:
    """Commit all of the work tree on top of `base`, under `ref`; return the tree.

    Args:
        workspace: The run's directories.
        base: The commit's parent.
        ref: The name of the commit.
        repository: The repository to commit to; the agent's own, when None.
        index: The index to use, made as a copy of the repository's if it is missing; the repository's, when None.
        environment: Variables for git.
        despite_faults: Whether to leave out a file that git cannot read, instead of failing.
        beside_agent: Whether the agent works on meanwhile. A full disk is then a failure: a later commit may find room.

    Raises:
        GitFailed: git failed.
        DiskFull: The disk is full.
    """
    into = repository or workspace.work_tree / ".git"
    may_fail = "--ignore-errors" if despite_faults else ""
    arguments = (str(into), str(index or into / "index"), base, ref, ref.rpartition("/")[2], may_fail)
    result = run_as_agent(
        workspace,
        ["sh", "-c", _SCRIPT, "sh", *arguments, *git_line(workspace, into)],
        environment={**({"GIT_INDEX_FILE": str(index)} if index else {}), **(environment or {})},
        beside_agent=beside_agent,
    )
    # On a full disk the index stays as it was, so that nothing would seem to be new.
    if beside_agent and (error := disk_full_error(result.stderr)):
        raise error
    return result.text
