"""Checks the entries of a tar archive, so that unpacking it writes only where it may, and no link leads elsewhere."""

import posixpath
from collections.abc import Collection, Iterable
from tarfile import AREGTYPE, REGTYPE, TarInfo
from typing import Final

_MAX_ENTRIES: Final = 1_000_000
_SYSTEM: Final = ("/usr/", "/bin/", "/lib/", "/opt/", "/nix/", "/home/linuxbrew/", "/System/", "/Library/")
"""Folders of the machine's own programs. The `python` in a virtual environment is a link to one of them."""


class InvalidArchive(Exception):
    """An archive cannot be packed or unpacked. The message says why."""


class EntryCheck:
    """Checks one archive. It is called with each entry, in the order of the archive.

    Args:
        top: The directory to unpack into.
        names: The names, relative to `top`, that the archive may have, with everything below them.
        forbidden: Names that no file or folder in the archive may have.
    """

    def __init__(self, top: str, names: Iterable[str], forbidden: Collection[str]) -> None:
        self._top = top
        self._names = frozenset(names)
        self._forbidden = frozenset(forbidden)
        self._folders: set[str] = {""}
        self._files: set[str] = set()
        self._links: set[str] = set()
        self._count = 0

    def __call__(self, entry: TarInfo) -> None:
        """Raise `InvalidArchive` unless the entry may be unpacked."""
        self._count += 1
        if self._count > _MAX_ENTRIES:
            raise InvalidArchive(f"there are more than {_MAX_ENTRIES:,} files")
        name = entry.name.rstrip("/")
        if name != posixpath.normpath(name) or any(key.startswith("GNU.") for key in entry.pax_headers):
            raise InvalidArchive(f"the entry {name!r} has an unusual form")
        self._check_folder(posixpath.dirname(name), name)
        if not self._names & _with_parents(name):
            raise InvalidArchive(f"the entry {name!r} is not below the named paths")
        is_top = "/" not in name and not entry.isdir()
        if is_top or posixpath.basename(name).lower() in self._forbidden or name in self._links:
            raise InvalidArchive(f"the entry {name!r} is not allowed")
        self._check_kind(entry, name)

    def _check_kind(self, entry: TarInfo, name: str) -> None:
        is_file = entry.type in {REGTYPE, AREGTYPE}
        if entry.size and not is_file:
            raise InvalidArchive(f"the entry {name!r} has content and is no file")
        if is_file:
            self._files.add(name)
        elif entry.issym():
            self._check_link(name, entry.linkname)
            if name in self._folders:
                raise InvalidArchive(f"the entry {name!r} is a link and a folder")
            self._links.add(name)
        elif entry.islnk():
            self._check_hard_link(name, entry.linkname)
        elif not entry.isdir():
            raise InvalidArchive(f"{name!r} is neither a file, nor a folder or a link")

    def _check_hard_link(self, name: str, target: str) -> None:
        kind = next((names for names in (self._links, self._files) if target in names), None)
        if kind is None:
            raise InvalidArchive(f"{name!r} is a hard link to {target!r}, which is not in the archive")
        kind.add(name)

    def _check_folder(self, folder: str, name: str) -> None:
        """Check the folders in which an entry is. The entries of one folder follow each other."""
        if folder in self._folders:
            return
        if {part.lower() for part in folder.split("/")} & self._forbidden:
            raise InvalidArchive(f"the entry {name!r} is not allowed")
        folders = _with_parents(folder)
        if self._links & folders:
            raise InvalidArchive(f"the entry {name!r} is behind a link")
        self._folders |= folders

    def _check_link(self, name: str, target: str) -> None:
        """Check where a link leads. With `..` behind a folder's name, that would depend on other links."""
        parts = target.split("/")
        ups = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
        path = posixpath.normpath(posixpath.join(self._top, posixpath.dirname(name), target))
        inside = path.removeprefix(f"{self._top}/")
        is_inside = inside != path and not {part.lower() for part in inside.split("/")} & self._forbidden
        is_system = target.startswith("/") and path.startswith(_SYSTEM)
        if ".." in parts[ups:] or not (is_inside or is_system):
            raise InvalidArchive(f"the link {name!r} leads to {target!r}, which is outside")


def _with_parents(name: str) -> set[str]:
    """Return a name, and the names of the folders that it is in."""
    parts = name.split("/")
    return {"/".join(parts[:length]) for length in range(1, len(parts) + 1)}
