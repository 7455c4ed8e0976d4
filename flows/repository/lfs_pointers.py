"""Reads the pointers of Git LFS: the small texts that a repository has instead of the content of large files.

https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md describes a pointer. A pointer with extensions is not read as
one, because its object is not the file's content.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flows.errors import GitFailed
from flows.repository import objects
from flows.repository.attributes import attribute_values
from flows.repository.git_commands import run_git
from flows.repository.objects import SUBMODULE, SYMLINK

MAX_POINTER_BYTES: Final = 1023
POINTER_START: Final = b"version https://git-lfs.github.com/spec/v1\n"
_POINTER: Final = re.compile(re.escape(POINTER_START) + rb"oid sha256:([0-9a-f]{64})\nsize (0|[1-9][0-9]{0,17})\n?")
_ANY_POINTER: Final = re.compile(
    re.escape(POINTER_START)
    + rb"(?:ext-[0-9]-[\w.-]+ sha256:[0-9a-f]{64}\n)*oid sha256:[0-9a-f]{64}\nsize (?:0|[1-9][0-9]{0,17})\n?"
)
_FILTER: Final = "lfs"


@dataclass(frozen=True)
class Pointer:
    """The name of an object of Git LFS, and the object's size in bytes."""

    oid: str
    """The SHA-256 of the object, in hexadecimal."""
    size: int

    @classmethod
    def parse(cls, content: bytes) -> "Pointer | None":
        """Return the pointer that a file contains; None if the file has other content."""
        match = _POINTER.fullmatch(content)
        return cls(match[1].decode(), int(match[2])) if match else None


def is_pointer(content: bytes) -> bool:
    """Whether a file's content is a pointer, also one with extensions. A pointer with further lines is none."""
    return _ANY_POINTER.fullmatch(content) is not None


def pointers_in(git_dir: Path, commit: str) -> dict[str, Pointer]:
    """Return, by path, the pointers of a commit at paths whose attributes say `filter=lfs`."""
    if not uses_lfs(git_dir, commit):
        return {}
    listing = run_git(["ls-tree", "-r", "-l", "-z", commit], git_dir=git_dir).text.split("\0")
    blobs = {}
    for header, _, path in (row.partition("\t") for row in listing if row):
        mode, _, blob, size = header.split()
        if mode not in {SYMLINK, SUBMODULE} and int(size) <= MAX_POINTER_BYTES:
            blobs[path] = blob
    paths = lfs_paths(git_dir, commit, blobs)
    return _parsed(git_dir, {path: blob for path, blob in blobs.items() if path in paths})


def changed_pointers(git_dir: Path, base: str, commit: str) -> dict[str, Pointer]:
    """Return, by path, the pointers in the new and changed files of a commit, whatever the attributes of the paths."""
    files = {
        file.path: file.blob
        for file in objects.changed_files(git_dir, base, commit)
        if not file.is_deleted and file.mode not in {SYMLINK, SUBMODULE}
    }
    size_of = objects.sizes(git_dir, set(files.values()))
    small = {path: blob for path, blob in files.items() if size_of.get(blob, 0) <= MAX_POINTER_BYTES}
    return _parsed(git_dir, small)


def lfs_paths(git_dir: Path, commit: str, paths: Iterable[str]) -> set[str]:
    """Return those of the paths whose attributes in a commit say `filter=lfs`."""
    values = attribute_values(git_dir, commit, "filter", list(paths))
    return {path for path, value in values.items() if value == _FILTER}


def uses_lfs(git_dir: Path, commit: str) -> bool:
    """Whether a file .gitattributes of the commit mentions the filter. To ask for each path would take longer."""
    pathspecs = [":(glob)**/.gitattributes"]
    try:
        run_git(["grep", "--quiet", "-e", "filter=lfs", commit, "--", *pathspecs], git_dir=git_dir)
    except GitFailed:  # nothing matches
        return False
    return True


def _parsed(git_dir: Path, blobs: Mapping[str, str]) -> dict[str, Pointer]:
    contents = objects.contents(git_dir, set(blobs.values()))
    parsed = {path: Pointer.parse(contents.get(blob, b"")) for path, blob in blobs.items()}
    return {path: pointer for path, pointer in parsed.items() if pointer}
