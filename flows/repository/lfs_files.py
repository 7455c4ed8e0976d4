"""Fetches the objects of Git LFS at the base commit, for the files in the agent's work tree."""

import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from flows.errors import DISK_FULL, DiskFull, LfsTooLarge
from flows.repository.lfs_filter import create_filter, fetched_objects
from flows.repository.lfs_pointers import Pointer, pointers_in
from flows.repository.lfs_server import LfsServer, lfs_server, missing_object
from flows.repository.remote import Remote
from flows.sandbox.workspace import Workspace

MAX_FETCHED_GB: Final = 20
"""The size of the objects that a run fetches at most, in gigabytes."""

_COPIES: Final = 2
"""How often a fetched object is on the disk: as an object, and as a file of the work tree."""

_CONNECTIONS: Final = 4


def fetch_lfs_files(workspace: Workspace, remote: Remote, *trees: str) -> None:
    """Download the objects of commits or trees, and create the filter for the agent's work tree.

    Objects that an earlier try of this attempt downloaded are not downloaded again.

    Raises:
        LfsTooLarge: The objects are larger than a run fetches.
        DiskFull: The disk has too little space for the objects and the files.
        RunError: The LFS server does not have an object, or reported another error.
    """
    pointers = [row for tree in dict.fromkeys(trees) for row in pointers_in(workspace.clean_git, tree).items()]
    folder = fetched_objects(workspace)
    folder.mkdir(exist_ok=True)
    by_oid = {pointer.oid: (path, pointer) for path, pointer in pointers}
    missing = {path: pointer for path, pointer in by_oid.values() if not (folder / pointer.oid).exists()}
    _check_space(workspace, missing.values())
    if missing:
        with lfs_server(remote) as server:
            _download(server, missing, folder)
    create_filter(workspace, {oid: folder / oid for oid in by_oid})


def _check_space(workspace: Workspace, pointers: Iterable[Pointer]) -> None:
    size = sum(pointer.size for pointer in pointers)
    if size > MAX_FETCHED_GB * 10**9:
        raise LfsTooLarge(
            f"the files of Git LFS have {size / 10**9:.1f} GB, and a run fetches at most {MAX_FETCHED_GB}: turn lfs off"
        )
    if size * _COPIES > shutil.disk_usage(workspace.root).free:
        raise DiskFull(f"{DISK_FULL} (the files of Git LFS need {size * _COPIES / 10**9:.1f} GB)")


def _download(server: LfsServer, pointers: Mapping[str, Pointer], folder: Path) -> None:
    pool = ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="lfs")
    try:
        downloads = []
        for path, actions in server.actions("download", pointers):
            pointer = pointers[path]
            if "download" not in actions:
                raise missing_object(path, pointer)
            target = folder / pointer.oid
            downloads.append(pool.submit(server.download, path, pointer, actions["download"], target))
        for download in downloads:
            download.result()
    finally:
        pool.shutdown(cancel_futures=True)
