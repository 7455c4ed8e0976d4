"""Commits the agent's work tree to the agent's own repository, with one script that runs as the agent's user.

Starting and ending a process as the agent takes about 15 ms, so the five git commands run in a single process.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from flows.errors import disk_full_error
from flows.repository.agent_git import run_as_agent, work_tree_command
from flows.sandbox.workspace import Workspace

_SCRIPT: Final = """
set -e
repository=$1 index=$2 base=$3 ref=$4 message=$5 may_fail=$6
shift 6
# The processes that held these locks are gone.
rm -f "$index.lock" "$repository/$ref.lock"
# The timestamps in the agent's own index tell git which files are unchanged, so that it reads only the others.
if ! test -e "$index" && test -e "$repository/index"; then
    cp --no-target-directory -- "$repository/index" "$index"
fi
# git cannot tell by its timestamp whether a file changed in the same second in which the index was written: git add
# would treat every such file as changed, and write it again. Refreshing the index compares the contents.
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
    """Commit the whole work tree on top of `base`, under `ref`; return the id of its tree.

    Args:
        workspace: The run's directories.
        base: The commit's parent.
        ref: The ref to set to the new commit.
        repository: The repository to commit to; None for the agent's own.
        index: The index file to use, created as a copy of the repository's index if it is missing; None for the
            repository's index itself.
        environment: Additional variables for git.
        despite_faults: Whether to leave out files that git cannot read, instead of failing.
        beside_agent: Whether the agent keeps running meanwhile. A full disk is then always an error, because a later
            commit may find room.

    Raises:
        GitFailed: git failed.
        DiskFull: The disk is full.
    """
    target = repository or workspace.work_tree / ".git"
    may_fail = "--ignore-errors" if despite_faults else ""
    arguments = (str(target), str(index or target / "index"), base, ref, ref.rpartition("/")[2], may_fail)
    result = run_as_agent(
        workspace,
        ["sh", "-c", _SCRIPT, "sh", *arguments, *work_tree_command(workspace, target)],
        environment={**({"GIT_INDEX_FILE": str(index)} if index else {}), **(environment or {})},
        beside_agent=beside_agent,
    )
    # On a full disk git leaves the index unchanged, and the commit would look as if nothing had changed.
    if beside_agent and (error := disk_full_error(result.stderr)):
        raise error
    return result.text
