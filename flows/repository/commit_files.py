"""Reads the files of one commit from git's objects. No work tree is needed, and no link is followed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from flows.repository.git_commands import run_git
from flows.repository.objects import EXECUTABLE, SYMLINK, contents, sizes

_REGULAR: Final = "100"
"""How the mode of a regular file begins."""


@dataclass(frozen=True)
class CommitFile:
    """One entry of a commit's listing: a regular file, a symbolic link or a submodule."""

    path: str
    mode: str
    blob: str
    """The id of the blob with the content; for a link, with its target."""

    @property
    def is_regular(self) -> bool:
        """Whether this is a regular file."""
        return self.mode.startswith(_REGULAR)

    @property
    def is_link(self) -> bool:
        """Whether this is a symbolic link."""
        return self.mode == SYMLINK

    @property
    def is_executable(self) -> bool:
        """Whether this is a regular file that can be executed."""
        return self.mode == EXECUTABLE


@dataclass(frozen=True)
class CommitFiles:
    """The files of one commit. The listing is searched as bytes, because a repository may have a million files."""

    git_dir: Path
    listing: bytes
    """The output of `git ls-tree -r -z`."""

    @classmethod
    def of(cls, git_dir: Path, commit: str, folder: str = "") -> Self:
        """Return the files of a commit, or only those below one of its folders."""
        limit = ["--", f"{folder}/"] if folder else []
        return cls(git_dir, run_git(["ls-tree", "-r", "-z", "--full-tree", commit, *limit], git_dir=git_dir).stdout)

    def find(self, path: str) -> CommitFile | None:
        """Return the file with this path; None if the commit has no such file."""
        files = self._entries_with(b"\t%b\0" % path.encode("utf-8", "surrogateescape"))
        return next((file for file in files if file.path == path), None)

    def below(self, folder: str) -> list[CommitFile]:
        """Return the files below a folder, sorted by path."""
        files = self._entries_with(f"\t{folder}/".encode())
        return sorted((file for file in files if file.path.startswith(f"{folder}/")), key=lambda file: file.path)

    def named(self, name: str) -> Iterator[CommitFile]:
        """Yield the files with this name in all folders, except the top folder."""
        return self._entries_with(f"/{name}\0".encode())

    def all(self) -> Iterator[CommitFile]:
        """Yield all files of the listing."""
        return self._entries_with(b"\t")

    def sizes(self, files: Iterable[CommitFile]) -> dict[str, int]:
        """Return the size in bytes of each file, by the id of its blob."""
        blobs = [file.blob for file in files]
        return sizes(self.git_dir, blobs) if blobs else {}

    def contents(self, files: Iterable[CommitFile]) -> dict[str, bytes]:
        """Return the content of each file, by the id of its blob."""
        blobs = [file.blob for file in files]
        return contents(self.git_dir, blobs) if blobs else {}

    def _entries_with(self, fragment: bytes) -> Iterator[CommitFile]:
        """Yield the entries that contain this fragment. A path may contain it as well, so callers compare the path."""
        position = self.listing.find(fragment)
        while position >= 0:
            start, end = self.listing.rfind(b"\0", 0, position) + 1, self.listing.index(b"\0", position)
            header, _, path = self.listing[start:end].partition(b"\t")
            mode, _, blob = header.decode().split(" ")
            yield CommitFile(path.decode("utf-8", "surrogateescape"), mode, blob)
            position = self.listing.find(fragment, end)
