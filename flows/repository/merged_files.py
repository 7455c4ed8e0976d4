"""Keeps in a merge what the collection of the agent's work does not see.

The work is collected as a change of the branch. So a submodule, a file that `.gitignore` excludes, and a file that
`leave_out` names would be as on the branch, and the merge would take back what the merged branch has done to them.
"""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from flows.repository.agent_git import work_tree_command
from flows.repository.base_branch import start_of_work
from flows.repository.clone import Checkout
from flows.repository.git_commands import isolated_environment, run_git
from flows.repository.objects import SUBMODULE
from flows.sandbox import commands
from flows.sandbox.workspace import Workspace

_NO_FILE = "000000"


def with_merged_files(
    workspace: Workspace, repository: Path, checkout: Checkout, tree: str, left_out: Collection[str]
) -> str:
    """Return the tree of the agent's work with those files as git has merged them that the agent could not commit.

    Args:
        workspace: The run's directories.
        repository: The repository in which the work was collected.
        checkout: The commit that the work started from, and the one that is merged into it.
        tree: The collected tree.
        left_out: The files whose changes a pattern of `leave_out` kept out of the tree.
    """
    clean, base = workspace.clean_git, checkout.base_commit
    merged = start_of_work(clean, base, checkout.merged_commit)
    own = {path for path, *_ in _differences(clean, base, tree)}
    rest = [each for each in _differences(clean, base, merged) if each[0] not in own]
    new = [path for path, old_mode, *_ in rest if old_mode == _NO_FILE]
    unseen = {path for path in new if os.path.lexists(workspace.work_tree / path)}
    # After a loss of the machine, the work tree does not have such files.
    unseen |= _ignored(workspace, repository, new) | set(left_out)
    rows = [
        f"{mode} {blob}\t{path}\0"
        for path, old_mode, mode, blob in rest
        if path in unseen or SUBMODULE in {old_mode, mode}
    ]
    return _changed_tree(clean, tree, rows) if rows else tree


def _ignored(workspace: Workspace, repository: Path, paths: Collection[str]) -> set[str]:
    """Return those of the paths that are not collected if they are new."""
    with TemporaryFile() as file:
        file.write("".join(f"{path}\0" for path in paths).encode("utf-8", "surrogateescape"))
        file.seek(0)
        command = [*work_tree_command(workspace, repository), "check-ignore", "--no-index", "-z", "--stdin"]
        environment = isolated_environment(workspace.agent_variables)
        output = commands.run(workspace, command, environment=environment, stdin=file).stdout
    return set(output.decode("utf-8", "surrogateescape").split("\0"))


def _differences(git_dir: Path, old: str, new: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield the path, the old mode, the new mode and the new object of each entry that differs between two trees."""
    listing = run_git(["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", old, new], git_dir=git_dir)
    fields = listing.stdout.decode("utf-8", "surrogateescape").split("\0")
    for header, path in zip(fields[::2], fields[1::2], strict=False):
        old_mode, mode, _, blob, _ = header.removeprefix(":").split(" ")
        yield path, old_mode, mode, blob


def _changed_tree(git_dir: Path, tree: str, rows: list[str]) -> str:
    with TemporaryDirectory(dir=git_dir.parent) as folder, TemporaryFile() as entries:
        environment = isolated_environment({"GIT_INDEX_FILE": f"{folder}/index"})
        run_git(["read-tree", tree], git_dir=git_dir, environment=environment)
        entries.write("".join(rows).encode("utf-8", "surrogateescape"))
        entries.seek(0)
        run_git(["update-index", "-z", "--index-info"], git_dir=git_dir, environment=environment, stdin=entries)
        return run_git(["write-tree"], git_dir=git_dir, environment=environment).text
