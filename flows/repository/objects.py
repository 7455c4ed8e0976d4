"""Reads git's objects: which files a commit changed, and what they contain."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from flows.repository.git_commands import run_git

SYMLINK: Final = "120000"
SUBMODULE: Final = "160000"
ABSENT: Final = "000000"
EXECUTABLE: Final = "100755"
_FIELDS: Final = 3
"""How many fields `git cat-file` prints about an object (name, type, size). It prints fewer for a missing object."""

_PORTION_BYTES: Final = 32 * 2**20


@dataclass(frozen=True)
class ChangedFile:
    """One changed file: an entry of `git diff-tree --raw` (git-diff(1), "Raw output format").

    In a path that is not UTF-8, surrogate escapes stand for the bytes that cannot be decoded.
    """

    path: str
    old_path: str
    """The path before the change; the same as `path` unless the file was moved."""
    mode: str
    old_mode: str
    blob: str
    old_blob: str

    @property
    def is_deleted(self) -> bool:
        """Whether the commit deletes the file."""
        return self.mode == ABSENT

    @property
    def blobs(self) -> tuple[str, ...]:
        """The ids of the blobs with the file's new and old content (for a link, its target); empty for a submodule."""
        sides = ((self.mode, self.blob), (self.old_mode, self.old_blob))
        return tuple(blob for mode, blob in sides if mode not in {ABSENT, SUBMODULE})


def changed_files(git_dir: Path, base: str, commit: str) -> tuple[ChangedFile, ...]:
    """Return the files that differ between `base` and `commit`; a moved file is one entry."""
    arguments = ["diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--find-renames", base, commit]
    # The listing ends with a NUL, after which one empty field is left.
    fields, files = iter(run_git(arguments, git_dir=git_dir).text.split("\0")), list[ChangedFile]()
    while header := next(fields, ""):
        old_mode, mode, old_blob, blob, status = header.removeprefix(":").split(" ")
        old_path = next(fields)
        path = next(fields) if status.startswith("R") else old_path
        files.append(ChangedFile(path, old_path, mode, old_mode, blob, old_blob))
    return tuple(files)


def sizes(git_dir: Path, blobs: Iterable[str]) -> dict[str, int]:
    """Return the size in bytes of each blob, by the blob's id. Missing blobs are not in the result."""
    listing = _batch(git_dir, "--batch-check", blobs).decode()
    rows = (row.split(" ") for row in listing.splitlines())
    return {row[0]: int(row[2]) for row in rows if len(row) == _FIELDS}


def contents(git_dir: Path, ids: Iterable[str]) -> dict[str, bytes]:
    """Return the content of each blob or commit, by its id; git-cat-file(1), "Batch output", describes the format."""
    output, content_of, start = _batch(git_dir, "--batch", ids), dict[str, bytes](), 0
    while start < len(output):
        end = output.index(b"\n", start)
        header = output[start:end].decode().split(" ")
        size = int(header[2]) if len(header) == _FIELDS else -1
        content_of[header[0]] = output[end + 1 : end + 1 + max(size, 0)]
        start = end + size + 2
    return content_of


def in_portions(files: Iterable[ChangedFile], size_of: Mapping[str, int]) -> Iterator[list[ChangedFile]]:
    """Yield the files in portions of about 32 MiB of old and new content, so that each portion fits in memory."""
    portion, size = list[ChangedFile](), 0
    for file in files:
        portion.append(file)
        size += size_of.get(file.blob, 0) + size_of.get(file.old_blob, 0)
        if size > _PORTION_BYTES:
            yield portion
            portion, size = [], 0
    yield portion


def _batch(git_dir: Path, kind: str, ids: Iterable[str]) -> bytes:
    with TemporaryFile() as names:
        names.write("".join(f"{id_}\n" for id_ in ids).encode())
        names.seek(0)
        return run_git(["cat-file", kind], git_dir=git_dir, stdin=names).stdout


def symlinks(git_dir: Path, commit: str) -> dict[str, str]:
    """Return, by the path of each symbolic link in a commit, the id of the blob that contains the link's target."""
    listing = run_git(["ls-tree", "-r", "-z", commit], git_dir=git_dir).text.split("\0")
    entries = (row.partition("\t") for row in listing if row.startswith(SYMLINK))
    return {path: header.split(" ")[2] for header, _, path in entries}


def message(git_dir: Path, commit: str) -> str:
    """Return the message of a commit."""
    return run_git(["cat-file", "commit", commit], git_dir=git_dir).text.partition("\n\n")[2]


def file_count(git_dir: Path, commit: str) -> int:
    """Return how many files the tree of a commit contains."""
    return run_git(["ls-tree", "-r", "-z", "--name-only", commit], git_dir=git_dir).stdout.count(b"\0")
