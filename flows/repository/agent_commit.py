"""The agent's work tree as a commit in the agent's own repository: one script, run as the agent's user.

A process of the agent's costs some 15 ms to start and to make an end of, so that five git commands are one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from flows.repository.agent_git import git_line, run_as_agent
from flows.sandbox.workspace import Workspace

_SCRIPT: Final = """
set -e
repository=$1 index=$2 base=$3 ref=$4 message=$5 may_fail=$6
shift 6
# Whoever held these was ended.
rm -f "$index.lock" "$repository/$ref.lock"
# With the agent's own index, whose stamps say which files are as they were, only what is new is read.
if ! test -e "$index" && test -e "$repository/index"; then
    cp --no-target-directory -- "$repository/index" "$index"
fi
# What was checked out in the second in which the index was written could have been changed in that second: git add
# takes all of it for new, and writes it once more. This compares.
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
    """Commit all of the work tree on top of `base`, under `ref`; return the tree, raise `GitFailed` where git fails.

    Args:
        workspace: With the work tree.
        base: The commit's parent.
        ref: What names the commit.
        repository: Where to; the agent's own, when None.
        index: The index to use, a copy of the repository's where there is none yet; the repository's, when None.
        environment: Variables for git.
        despite_faults: Whether a file that git cannot take is left out, or is a failure.
        beside_agent: Whether the agent goes on meanwhile.
    """
    into = repository or workspace.work_tree / ".git"
    may_fail = "--ignore-errors" if despite_faults else ""
    given = (str(into), str(index or into / "index"), base, ref, ref.rpartition("/")[2], may_fail)
    return run_as_agent(
        workspace,
        ["sh", "-c", _SCRIPT, "sh", *given, *git_line(workspace, into)],
        environment={**({"GIT_INDEX_FILE": str(index)} if index else {}), **(environment or {})},
        beside_agent=beside_agent,
    ).text
