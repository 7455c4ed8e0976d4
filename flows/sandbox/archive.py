"""Packs files of the agent's work tree and home directory into a tar archive, and unpacks them again.

tar runs as the agent's user. The archive is a file of the flow's process, which checks every entry: before it returns a
new archive, and before tar sees an archive that is unpacked.
"""

import os
import subprocess
import tarfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import IO, Final

from flows.errors import disk_full_error
from flows.sandbox import commands
from flows.sandbox.archive_entries import EntryCheck, InvalidArchive
from flows.sandbox.processes import kill_group, track_process
from flows.sandbox.workspace import Workspace

MAX_BYTES: Final = 4 * 2**30
"""The largest archive, in bytes."""

LEFT_OUT: Final = (".git", ".claude")
"""Names of files and folders that are not packed. An archive that has one is not unpacked."""

_TIMEOUT_SECONDS: Final = 1800
_CHUNK_BYTES: Final = 2**20
_STDERR_CHARACTERS: Final = 500
_PADDING_BYTES: Final = 2**15
"""How many zero bytes tar may write after the last entry."""

_MAGIC: Final = 257
_PREFIX: Final = 345
"""Where a header says which format it has, and where it has the prefix of a name."""


def pack(workspace: Workspace, paths: Sequence[str], file: Path, *, max_bytes: int = MAX_BYTES) -> int:
    """Pack the paths into a new archive, and return the archive's size in bytes; 0 if none of the paths exists.

    Folders are packed with everything in them, except what has a name in `LEFT_OUT`. The processes of the agent's user
    must have ended, and are ended again afterwards.

    Args:
        workspace: The run's directories.
        paths: Paths relative to the work tree, or below `~/`, the agent's home directory. `.` and `~` are all of it.
        file: The archive, in a directory that only the flow's process can write to. It exists only after a success.
        max_bytes: The largest archive, in bytes.

    Raises:
        InvalidArchive: The files take more bytes, or one of them is no regular file, folder or harmless link; or a
            path leads through a symbolic link.
        DiskFull: The disk is full.
    """
    names = [name for name in _names(paths) if _exists(workspace, name)]
    if not names:
        return 0
    try:
        with file.open("wb") as target:
            file.chmod(0o600)
            run_tar(workspace, names, target, max_bytes=max_bytes, left_out=LEFT_OUT)
        _check_entries(workspace, names, file)
    except BaseException as error:
        file.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise disk_full_error(str(error)) or error from None
        raise
    return file.stat().st_size


def missing(workspace: Workspace, paths: Sequence[str]) -> list[str]:
    """Return those of the paths that do not exist."""
    return [path for path, name in zip(paths, _names(paths), strict=True) if not _exists(workspace, name)]


def unpack(workspace: Workspace, paths: Sequence[str], file: Path, *, max_bytes: int = MAX_BYTES) -> None:
    """Unpack an archive of these paths. If an error is raised, part of the files may be there: see `remove`.

    Args:
        workspace: The directories to unpack into. They need not be those that were packed.
        paths: The paths that were packed, as in `pack`. The archive may have these and what is below them only.
        file: The archive.
        max_bytes: The largest archive, in bytes.

    Raises:
        InvalidArchive: Nothing was unpacked, because the archive is too large, damaged, or has an entry that `pack`
            never makes.
        CommandFailed, DiskFull: tar failed.
    """
    if file.stat().st_size > max_bytes:
        raise InvalidArchive(f"the archive has more than {max_bytes:,} bytes")
    names = _names(paths)
    _check_entries(workspace, names, file)
    for name in names:
        _exists(workspace, name)  # nothing is unpacked through a link
    line = ["tar", "-x", "-p", "--no-same-owner", "-f", "-", "-C", str(_top(workspace))]
    with file.open("rb") as source:
        result = commands.run(workspace, line, stdin=source, timeout_seconds=_TIMEOUT_SECONDS)
    commands.check(result, "unpack saved files")


def remove(workspace: Workspace, paths: Sequence[str]) -> None:
    """Remove the paths, as the agent's user. Folders that cannot be written are made writable first."""
    folders = [str(_top(workspace) / name) for name in _names(paths) if _exists(workspace, name)]
    if folders:
        script = 'chmod -R u+rwX -- "$@" 2>/dev/null; rm -rf -- "$@"'
        commands.check(commands.run(workspace, ["sh", "-c", script, "sh", *folders]), "remove files")


def _top(workspace: Workspace) -> Path:
    """Return the directory that holds the work tree and the home directory. Names in an archive are relative to it."""
    return workspace.work_tree.parent


def _names(paths: Sequence[str]) -> list[str]:
    """Return the name that each path has in an archive."""
    return [_name(PurePosixPath(path)) for path in paths]


def _name(path: PurePosixPath) -> str:
    is_home = path.parts[:1] == ("~",)
    parts = path.parts[1:] if is_home else path.parts
    if path.is_absolute() or {"..", *LEFT_OUT} & set(parts):
        raise InvalidArchive(f"the path {str(path)!r} is not below the work tree or the home directory, or is reserved")
    return "/".join(("home" if is_home else "work-tree", *parts))


def _exists(workspace: Workspace, name: str) -> bool:
    """Return whether a file or folder with this name exists; raise `InvalidArchive` if the way to it has a link."""
    path = _top(workspace)
    for part in PurePosixPath(name).parts:
        if path.is_symlink():
            raise InvalidArchive(f"{_shown(workspace, path)} is a symbolic link: name a path without links")
        path /= part
    return os.path.lexists(path)


def _shown(workspace: Workspace, path: Path) -> str:
    return str(path.relative_to(_top(workspace)))


def run_tar(
    workspace: Workspace,
    names: Iterable[str],
    target: IO[bytes],
    *,
    max_bytes: int,
    left_out: Sequence[str] = (),
    options: Sequence[str] = (),
) -> None:
    """Write the output of tar, which runs as the agent's user, to a file of this process.

    Args:
        workspace: The run's directories.
        names: What to pack, relative to the directory that holds the work tree and the home directory.
        target: The file.
        max_bytes: The largest archive, in bytes.
        left_out: Names of files and folders that are not packed.
        options: Other options of tar.

    Raises:
        InvalidArchive: The files take more bytes, or tar cannot read one of them.
        DiskFull: The disk is full.
    """
    excludes = [f"--exclude={name}" for name in left_out]
    line = ["tar", "-c", "-f", "-", "-C", str(_top(workspace)), *options, *excludes, "--null", "-T", "-"]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", **workspace.agent_variables}
    with TemporaryFile() as rows, TemporaryFile() as errors:
        rows.write("".join(f"{name}\0" for name in names).encode("utf-8", "surrogateescape"))
        rows.seek(0)
        process = subprocess.Popen(
            workspace.agent.argv(line),
            env=environment,
            cwd=os.sep,
            stdin=rows,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        with track_process(process), _ended(workspace, process) as output:
            _copy(output, target, max_bytes)
            status = process.wait()
        errors.seek(0)
        reason = errors.read(_STDERR_CHARACTERS).decode("utf-8", "replace").strip()
    if status != 0:
        raise disk_full_error(reason) or InvalidArchive(f"tar ended with exit status {status}: {reason}")


@contextmanager
def _ended(workspace: Workspace, process: "subprocess.Popen[bytes]") -> Iterator[IO[bytes]]:
    """Yield the output of a process, and end the process and all others of the agent's user afterwards."""
    assert process.stdout is not None  # noqa: S101 (it is a pipe)
    timer = threading.Timer(_TIMEOUT_SECONDS, kill_group, [process])
    timer.daemon = True
    timer.start()
    try:
        with process.stdout as output:
            yield output
    finally:
        timer.cancel()
        kill_group(process)
        workspace.agent.end_processes()
        process.wait()


def _copy(output: IO[bytes], target: IO[bytes], max_bytes: int) -> None:
    size = 0
    while block := os.read(output.fileno(), _CHUNK_BYTES):
        size += len(block)
        if size > max_bytes:
            raise InvalidArchive(f"the files take more than {max_bytes // 2**20:,} MiB")
        target.write(block)


def _check_entries(workspace: Workspace, names: Sequence[str], file: Path) -> None:
    """Raise `InvalidArchive` if an entry of the archive is not below these names, or may reach anything else."""
    check = EntryCheck(str(_top(workspace)), names, LEFT_OUT)
    try:
        with file.open("rb") as source, tarfile.open(fileobj=source, mode="r:") as archive:
            while entry := archive.next():
                check(entry)
                if archive.pax_headers or _is_ambiguous(source, entry):
                    raise InvalidArchive(f"the entry {entry.name!r} has a form that programs read in different ways")
                archive.members.clear()  # type: ignore[attr-defined]  # there may be a million, and the check remembers what it needs
            source.seek(archive.offset)
            padding = source.read(_PADDING_BYTES + 1)
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise InvalidArchive(f"the archive is damaged: {error}") from None
    if len(padding) > _PADDING_BYTES or any(padding):
        raise InvalidArchive("the archive is damaged: there is more after its last entry")


def _is_ambiguous(source: IO[bytes], entry: tarfile.TarInfo) -> bool:
    """Whether the header has a prefix of the name that GNU tar ignores, because the header is not that of POSIX."""
    source.seek(entry.offset_data - tarfile.BLOCKSIZE)
    header = source.read(tarfile.BLOCKSIZE)
    return not header.startswith(tarfile.POSIX_MAGIC[:6], _MAGIC) and any(header[_PREFIX:])
