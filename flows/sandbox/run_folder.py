"""Creates the folder of one run, at a path that the next run on the machine has again.

A Python environment holds its own path, so files that the setup made for one run are of no use at another path. The
folders are numbered; a run takes the first one that no other run uses. A lock on the folder says that it is in use.
"""

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from flows.sandbox.removal import remove_tree

PREFIX: Final = "claude-code-headless-"
_MAX_NUMBER: Final = 200


@contextmanager
def run_folder(before_reuse: Callable[[Path], object] = lambda _: None) -> Iterator[Path]:
    """Yield an empty folder that only this run uses, and remove it when the context ends.

    `before_reuse` is called with a folder that a killed run may have left, before its content is removed.
    """
    folder, lock = _claim(before_reuse)
    try:
        yield folder
    finally:
        remove_folder(folder)
        os.close(lock)


def remove_folder(folder: Path) -> None:
    """Remove a folder, as far as that is possible, although folders in it may be read-only."""
    _make_writable(folder)
    with suppress(OSError):
        remove_tree(folder)


def _claim(before_reuse: Callable[[Path], object]) -> tuple[Path, int]:
    """Return a folder, and the file descriptor that locks it."""
    for number in range(1, _MAX_NUMBER + 1):
        folder = Path(tempfile.gettempdir()) / f"{PREFIX}{number}"
        with suppress(OSError):
            folder.mkdir(mode=0o700)
        if (lock := _lock(folder, before_reuse)) is not None:
            return folder, lock
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    return folder, os.open(folder, os.O_RDONLY | os.O_DIRECTORY)


def _lock(folder: Path, before_reuse: Callable[[Path], object]) -> int | None:
    """Lock and empty a folder, and return the file descriptor; None if the folder cannot be used.

    The folder may be that of a run which was killed, or belong to another user.
    """
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status = os.fstat(lock)
        if status.st_uid == os.geteuid() and os.path.samestat(status, folder.lstat()):
            before_reuse(folder)
            _empty(folder)
            folder.chmod(0o700)
            return lock
    except OSError:  # in use, removed at this moment, or not to be emptied
        pass
    os.close(lock)
    return None


def _empty(folder: Path) -> None:
    _make_writable(folder)
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            remove_tree(entry)
        else:
            entry.unlink()


def _make_writable(folder: Path) -> None:
    """Make the folders below a folder writable: Go's module cache is read-only. Root can remove them as they are."""
    if os.geteuid() == 0:
        return
    subprocess.run(["chmod", "-R", "u+rwX", str(folder)], check=False, capture_output=True)
