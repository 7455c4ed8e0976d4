"""Refuses symbolic links that lead out of the repository."""

from collections.abc import Mapping
from typing import Final

from flows.checks.base import Inspection
from flows.errors import UnsafeSymlink
from flows.repository import objects
from flows.repository.objects import SYMLINK

_LINKS_FOLLOWED: Final = 40
"""How many links Linux follows in one path (path_resolution(7))."""


def check_symlinks(inspection: Inspection) -> None:
    """Raise `UnsafeSymlink` if a changed link leads out of the repository, unless `allow_outside_links` is set."""
    if inspection.policy.allow_outside_links or all(file.mode != SYMLINK for file in inspection.files):
        return
    targets = _targets(inspection)
    if outside := inspection.name_files(lambda file: file.mode == SYMLINK and leads_outside(file.path, targets)):
        raise UnsafeSymlink(
            f"the change has symbolic links that lead out of the repository: {outside}: have the agent copy the files "
            "that they point to, or set policy.allow_outside_links"
        )


def _targets(inspection: Inspection) -> dict[str, str]:
    """Return the target of each symbolic link in the commit, by the link's path."""
    blobs = objects.symlinks(inspection.git_dir, inspection.change.commit)
    contents = objects.contents(inspection.git_dir, set(blobs.values()))
    return {path: contents[blob].decode("utf-8", "surrogateescape") for path, blob in blobs.items()}


def leads_outside(link: str, targets: Mapping[str, str]) -> bool:
    """Whether a symbolic link, perhaps through other links, leads out of the repository or into its .git directory.

    Args:
        link: The link's path.
        targets: The target of each link in the repository, by the link's path.
    """
    rest, place, followed = link.split("/")[::-1], list[str](), 0
    while rest:
        part = rest.pop()
        if part in {"", "."}:
            continue
        if part == ".." and not place:
            return True
        place = place[:-1] if part == ".." else [*place, part]
        if place and place[0].lower() == ".git":
            return True
        if (target := targets.get("/".join(place))) is not None:
            followed += 1
            if target.startswith("/") or followed > _LINKS_FOLLOWED:
                return True
            place = place[:-1]
            rest.extend(target.split("/")[::-1])
    return False
