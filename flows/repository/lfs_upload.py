"""Uploads the objects of a change's files to Git LFS. This comes before the push of their pointers."""

import hashlib
from pathlib import Path

from flows.errors import LfsFailed
from flows.repository import objects
from flows.repository.base_branch import start_of_work
from flows.repository.collect import Change, names
from flows.repository.lfs_objects import saved_objects
from flows.repository.lfs_pointers import changed_pointers, lfs_paths, uses_lfs
from flows.repository.lfs_server import lfs_server, missing_object
from flows.repository.remote import Remote


def upload_objects(git_dir: Path, change: Change, remote: Remote) -> int:
    """Upload each object of the change that the LFS server does not have, and return how many these are.

    Args:
        git_dir: The trusted repository, which has the change and its objects.
        change: The change, which has a commit.
        remote: The repository that the change is pushed to.

    Raises:
        LfsFailed: The change was applied to a commit without Git LFS, and has a pointer.
        LfsObjectMissing: A file of the change is a pointer to an object that neither the server nor the run has.
        RunError: The LFS server reported another error.
    """
    start = start_of_work(git_dir, change.checkout.base_commit, change.checkout.merged_commit)
    pointers = changed_pointers(git_dir, start, change.commit)
    if not pointers:
        return 0
    paths = lfs_paths(git_dir, change.commit, pointers) if uses_lfs(git_dir, change.commit) else set[str]()
    blobs = saved_objects(git_dir)
    unread = [path for path, pointer in pointers.items() if pointer.oid in blobs and path not in paths]
    if change.applied_to and unread:
        raise LfsFailed(
            f"{names(unread)}: the change has a pointer of Git LFS, but the newest commit does not store the file with "
            "Git LFS: deliver without apply_to_latest, or restore .gitattributes on the branch"
        )
    by_oid = {pointer.oid: (path, pointer) for path, pointer in pointers.items() if path in paths}
    wanted, count = dict(by_oid.values()), 0
    if not wanted:
        return 0
    with lfs_server(remote) as server:
        for path, actions in server.actions("upload", wanted):
            pointer = wanted[path]
            if "upload" not in actions:  # the server has the object
                continue
            if pointer.oid not in blobs:
                raise missing_object(path, pointer, "and the agent wrote only a pointer")
            content = objects.contents(git_dir, [blobs[pointer.oid]])[blobs[pointer.oid]]
            if len(content) != pointer.size or hashlib.sha256(content).hexdigest() != pointer.oid:
                raise LfsFailed(f"the object of {path!r} differs from its pointer: have the agent write the file again")
            server.upload(path, pointer, actions, content)
            count += 1
    return count
