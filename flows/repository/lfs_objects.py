"""Saves the objects of the agent's new and changed files of Git LFS, as git blobs beside the change.

So they cross to the trusted side as git objects, are in the bundles of the change and of checkpoints, and reach every
machine that reads such a bundle.
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from flows.repository.agent_git import run_as_agent, work_tree_command
from flows.repository.git_commands import check_git, isolated_environment, run_git
from flows.repository.lfs_filter import create_filter, fetched_objects, has_filter, object_path, object_store
from flows.repository.lfs_pointers import changed_pointers
from flows.sandbox import commands
from flows.sandbox.workspace import Workspace

OBJECTS_REF: Final = "refs/claude-code-headless/lfs-objects"
"""The ref of a commit without a parent, whose files are the objects, each named by its SHA-256."""

_OID: Final = re.compile("[0-9a-f]{64}")
_COMMIT: Final = """
set -e
while IFS= read -r path; do
  if [ -f "$path" ]; then printf '%s\\n' "$path"; fi
done > "$FOLDER/lfs-paths"
"$@" hash-object -w --no-filters --stdin-paths < "$FOLDER/lfs-paths" > "$FOLDER/lfs-blobs"
sed 's|.*/||' "$FOLDER/lfs-paths" | paste "$FOLDER/lfs-blobs" - | sed 's/^/100644 blob /' > "$FOLDER/lfs-tree"
tree=$("$@" mktree < "$FOLDER/lfs-tree")
commit=$("$@" -c user.name=agent -c user.email=agent@localhost commit-tree -m "Objects of Git LFS" "$tree")
"$@" update-ref "$REF" "$commit"
"""
_RESTORE: Final = """
set -e
if ! "$@" rev-parse -q --verify "$REF" > /dev/null; then exit 0; fi
"$@" ls-tree "$REF" > "$STORE/incoming"
while read -r mode kind blob oid; do
  rest=${oid#????}
  folder=$STORE/objects/$(printf '%s' "${oid%"$rest"}" | sed 's|..|&/|')
  mkdir -p "$folder"
  "$@" cat-file blob "$blob" > "$folder/$oid"
done < "$STORE/incoming"
rm "$STORE/incoming"
"$@" update-ref -d "$REF"
"""


def commit_objects(
    workspace: Workspace, repository: Path, base: str, refs: Sequence[str], *, beside_agent: bool = False
) -> str:
    """Commit the objects of new and changed files in a temporary repository, and return the ref of that commit.

    Without new objects, the result is an empty string.

    Args:
        workspace: The run's directories. `clean.git` has the commits of `refs`.
        repository: A temporary repository, from `create_repository`.
        base: The commit that the work starts from. Its objects are on the LFS server.
        refs: The refs of commits on top of the base.
        beside_agent: Whether the agent keeps running.
    """
    if not has_filter(workspace):
        return ""
    # An earlier checkpoint may have had other objects.
    run_git(["update-ref", "-d", OBJECTS_REF], git_dir=workspace.clean_git)
    changed = {pointer.oid for ref in refs for pointer in changed_pointers(workspace.clean_git, base, ref).values()}
    new = sorted(oid for oid in changed if not (fetched_objects(workspace) / oid).exists())
    if not new:
        return ""
    variables = {"REF": OBJECTS_REF, "FOLDER": str(repository)}
    with TemporaryFile() as rows:
        rows.write("".join(f"{object_path(workspace, oid)}\n" for oid in new).encode())
        rows.seek(0)
        result = commands.run(
            workspace,
            ["sh", "-c", _COMMIT, "sh", *work_tree_command(workspace, repository)],
            environment={**isolated_environment(workspace.agent_variables), **variables},
            stdin=rows,
            beside_agent=beside_agent,
        )
    check_git(result)
    return OBJECTS_REF


def restore_objects(workspace: Workspace) -> None:
    """Put the objects that the agent's repository has fetched from a checkpoint into the folder of the objects."""
    if has_filter(workspace):
        command = ["sh", "-c", _RESTORE, "sh", *work_tree_command(workspace)]
        run_as_agent(workspace, command, environment={"REF": OBJECTS_REF, "STORE": str(object_store(workspace))})


def renew_objects(workspace: Workspace) -> None:
    """Create the folder of the objects again, without what the agent wrote there outside its change.

    It gets the objects that the run downloaded, and those of the change, which are in `clean.git`.
    """
    if not has_filter(workspace):
        return
    objects = {file.name: file for file in fetched_objects(workspace).iterdir() if _OID.fullmatch(file.name)}
    folder = workspace.trusted / "lfs-change"
    folder.mkdir(exist_ok=True)
    for oid, blob in saved_objects(workspace.clean_git).items():
        content = run_git(["cat-file", "blob", blob], git_dir=workspace.clean_git).stdout
        # The agent chose the name, which must not be that of another object.
        if hashlib.sha256(content).hexdigest() == oid:
            file = objects[oid] = folder / oid
            file.unlink(missing_ok=True)
            file.write_bytes(content)
    create_filter(workspace, objects)


def saved_objects(git_dir: Path) -> dict[str, str]:
    """Return, by its SHA-256, the git blob of each object in the trusted repository."""
    if not has_objects(git_dir):
        return {}
    listing = run_git(["ls-tree", "-z", OBJECTS_REF], git_dir=git_dir).text.split("\0")
    rows = (row.partition("\t") for row in listing if row)
    return {oid: header.split(" ")[2] for header, _, oid in rows}


def has_objects(git_dir: Path) -> bool:
    """Whether the trusted repository has objects of new or changed files."""
    return bool(run_git(["for-each-ref", OBJECTS_REF], git_dir=git_dir).text)
