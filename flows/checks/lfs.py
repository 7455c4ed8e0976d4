"""Refuses a file that the repository stores with Git LFS if the change has the file's content instead of a pointer.

An agent without the files of Git LFS sees only the pointers. If it writes data to such a file, the data would become
part of the repository itself.
"""

from flows.checks.base import Inspection
from flows.errors import LfsFileWithoutPointer
from flows.repository import objects
from flows.repository.lfs_pointers import MAX_POINTER_BYTES, is_pointer, lfs_paths, uses_lfs


def check_lfs(inspection: Inspection) -> None:
    """Raise `LfsFileWithoutPointer` if a changed file that belongs to Git LFS is not a pointer."""
    files = [file for file in inspection.files if not file.is_deleted and inspection.sizes.get(file.blob)]
    if not files or not uses_lfs(inspection.git_dir, inspection.change.commit):
        return
    paths = lfs_paths(inspection.git_dir, inspection.change.commit, [file.path for file in files])
    small = {file.blob for file in files if inspection.sizes[file.blob] <= MAX_POINTER_BYTES}
    contents = objects.contents(inspection.git_dir, small)
    if names := inspection.name_files(lambda file: file.path in paths and not is_pointer(contents.get(file.blob, b""))):
        raise LfsFileWithoutPointer(
            f"{names}: the repository stores such files with Git LFS, but the change has content instead of a pointer. "
            "Start a run with lfs, which uploads such files, or have the agent leave them as they are"
        )
