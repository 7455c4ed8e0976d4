"""What a commit changed, file by file, as git's objects say it; and what the files hold."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from flows.repository.git_commands import run_git

SYMLINK: Final = "120000"
SUBMODULE: Final = "160000"
_ABSENT: Final = "000000"
_FIELDS: Final = 3
"""Name, type and size, of an object that is there."""

_PORTION_BYTES: Final = 32 * 2**20


@dataclass(frozen=True)
class ChangedFile:
    """One entry of `git diff-tree --raw` (git-diff(1), "Raw output format"): paths are bytes in surrogate escapes."""

    path: str
    old_path: str
    """Where it was; `path` itself unless it was moved."""
    mode: str
    old_mode: str
    blob: str
    old_blob: str

    @property
    def is_deleted(self) -> bool:
        """Whether nothing is left of it."""
        return self.mode == _ABSENT

    @property
    def blobs(self) -> tuple[str, ...]:
        """What there is to read of it, now and before: of a file, or of where a link leads."""
        sides = ((self.mode, self.blob), (self.old_mode, self.old_blob))
        return tuple(blob for mode, blob in sides if mode not in {_ABSENT, SUBMODULE})


def changed_files(git_dir: Path, base: str, commit: str) -> tuple[ChangedFile, ...]:
    """List what `commit` changed since `base`; a file that moved is one entry."""
    arguments = ["diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--find-renames", base, commit]
    fields = iter(run_git(arguments, git_dir=git_dir).text.split("\0"))
    return tuple(_entries(fields))


def _entries(fields: Iterator[str]) -> Iterator[ChangedFile]:
    for head in fields:
        if not head:
            return
        old_mode, mode, old_blob, blob, status = head.removeprefix(":").split(" ")
        old_path = next(fields)
        path = next(fields) if status.startswith("R") else old_path
        yield ChangedFile(path, old_path, mode, old_mode, blob, old_blob)


def sizes(git_dir: Path, blobs: Iterable[str]) -> dict[str, int]:
    """Return the size of each blob in bytes."""
    listing = _batch(git_dir, "--batch-check", blobs).decode()
    rows = (row.split(" ") for row in listing.splitlines())
    return {row[0]: int(row[2]) for row in rows if len(row) == _FIELDS}


def contents(git_dir: Path, blobs: Iterable[str]) -> dict[str, bytes]:
    """Return what each blob holds; git-cat-file(1), "Batch output", gives the form."""
    output, found, at = _batch(git_dir, "--batch", blobs), dict[str, bytes](), 0
    while at < len(output):
        end = output.index(b"\n", at)
        head = output[at:end].decode().split(" ")
        size = int(head[2]) if len(head) == _FIELDS else -1
        found[head[0]] = output[end + 1 : end + 1 + max(size, 0)]
        at = end + size + 2
    return found


def in_portions(files: Iterable[ChangedFile], size_of: Mapping[str, int]) -> Iterator[list[ChangedFile]]:
    """Cut a list of files into parts whose contents fit the memory."""
    portion, size = list[ChangedFile](), 0
    for file in files:
        portion.append(file)
        size += size_of.get(file.blob, 0) + size_of.get(file.old_blob, 0)
        if size > _PORTION_BYTES:
            yield portion
            portion, size = [], 0
    yield portion


def _batch(git_dir: Path, kind: str, blobs: Iterable[str]) -> bytes:
    with TemporaryFile() as names:
        names.write("".join(f"{blob}\n" for blob in blobs).encode())
        names.seek(0)
        return run_git(["cat-file", kind], git_dir=git_dir, stdin=names).stdout


def links(git_dir: Path, commit: str) -> dict[str, str]:
    """Return each symbolic link of a commit, with the blob that holds where it leads."""
    listing = run_git(["ls-tree", "-r", "-z", commit], git_dir=git_dir).text.split("\0")
    entries = (row.partition("\t") for row in listing if row.startswith(SYMLINK))
    return {path: head.split(" ")[2] for head, _, path in entries}


def message(git_dir: Path, commit: str) -> str:
    """Return a commit's message."""
    return run_git(["cat-file", "commit", commit], git_dir=git_dir).text.partition("\n\n")[2]


def file_count(git_dir: Path, commit: str) -> int:
    """Return how many files a commit has."""
    return run_git(["ls-tree", "-r", "-z", "--name-only", commit], git_dir=git_dir).stdout.count(b"\0")
