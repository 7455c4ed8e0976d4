"""Refuses a file that the repository stores with Git LFS if the change replaces the LFS pointer with data.

In the repository, a file of Git LFS is only a pointer: a text of three lines
(https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md). An agent without git-lfs sees only the pointer. If the
agent writes data to the file, the data would become part of the repository itself.
"""

from pathlib import Path
from typing import Final

from flows.checks.base import Inspection
from flows.errors import GitFailed, LfsFileWithoutPointer
from flows.repository import objects
from flows.repository.attributes import attribute_values
from flows.repository.git_commands import run_git

_POINTER: Final = b"version https://git-lfs.github.com/spec/v1\n"
_MAX_POINTER_BYTES: Final = 1024


def check_lfs(inspection: Inspection) -> None:
    """Raise `LfsFileWithoutPointer` if a changed file that belongs to Git LFS is not a pointer."""
    files = [file for file in inspection.files if not file.is_deleted and inspection.sizes.get(file.blob)]
    if not files or not _uses_lfs(inspection.git_dir, inspection.change.commit):
        return
    paths = [file.path for file in files]
    filters = attribute_values(inspection.git_dir, inspection.change.commit, "filter", paths)
    small = {file.blob for file in files if inspection.sizes[file.blob] <= _MAX_POINTER_BYTES}
    contents = objects.contents(inspection.git_dir, small)
    if names := inspection.name_files(
        lambda file: filters.get(file.path) == "lfs" and not contents.get(file.blob, b"").startswith(_POINTER)
    ):
        raise LfsFileWithoutPointer(
            f"{names}: the repository stores such files with Git LFS, but the change has content instead of a pointer. "
            "Runs cannot upload to Git LFS: have the agent leave the file as it is"
        )


def _uses_lfs(git_dir: Path, commit: str) -> bool:
    pathspecs = [":(glob)**/.gitattributes"]
    try:
        run_git(["grep", "--quiet", "-e", "filter=lfs", commit, "--", *pathspecs], git_dir=git_dir)
    except GitFailed:  # nothing matches
        return False
    return True
