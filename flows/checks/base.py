"""Defines the input of every check, `Inspection`: the change, its files and the policy."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Final, Protocol

from flows.parameters.change_policy import ChangePolicy
from flows.repository import objects
from flows.repository.base_branch import start_of_work
from flows.repository.collect import Change
from flows.repository.lfs_objects import saved_objects
from flows.repository.lfs_pointers import Pointer, changed_pointers
from flows.repository.objects import ChangedFile

_NAMED_FILES: Final = 5


@dataclass(frozen=True)
class Inspection:
    """A change that is being checked. The change's git objects are read only once, when a check first needs them."""

    git_dir: Path
    """The trusted repository, which contains the change."""
    change: Change
    policy: ChangePolicy

    @cached_property
    def files(self) -> Sequence[ChangedFile]:
        """The files that the agent has changed."""
        return objects.changed_files(self.git_dir, self.start, self.change.commit)

    @cached_property
    def start(self) -> str:
        """What the agent's work tree had at its start: the base commit, or the tree of a merge."""
        checkout = self.change.checkout
        return start_of_work(self.git_dir, checkout.base_commit, checkout.merged_commit)

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """The size in bytes of each new and each old blob of the changed files, by the blob's id."""
        return objects.sizes(self.git_dir, {blob for file in self.files for blob in file.blobs})

    @cached_property
    def pointers(self) -> Mapping[str, Pointer]:
        """The pointers of Git LFS in the changed files, by path."""
        return changed_pointers(self.git_dir, self.change.checkout.base_commit, self.change.commit)

    @cached_property
    def lfs_contents(self) -> Mapping[str, str]:
        """By path, the blobs with the content of those files that the change has as pointers, and the run saved."""
        saved = saved_objects(self.git_dir)
        if not saved:
            return {}
        return {path: saved[pointer.oid] for path, pointer in self.pointers.items() if pointer.oid in saved}

    def name_files(self, condition: Callable[[ChangedFile], bool]) -> str:
        """Return, for a message, the names of up to five changed files that meet a condition; "" if no file does."""
        paths = [file.path for file in self.files if condition(file)]
        names = [repr(path.encode("utf-8", "replace").decode()) for path in paths[:_NAMED_FILES]]
        more = [f"and {len(paths) - _NAMED_FILES} more"] if len(paths) > _NAMED_FILES else []
        return ", ".join(names + more)


class Check(Protocol):
    """One check of a change. It raises a `RunError` if the policy does not allow the change."""

    def __call__(self, inspection: Inspection, /) -> None:
        """Raise a `RunError` if the policy does not allow the change."""


def matches(file: ChangedFile, patterns: Sequence[str]) -> bool:
    """Whether the file's new or old path matches one of the patterns, in any directory, ignoring case."""
    paths = {f"/{path.lower()}" for path in (file.path, file.old_path)}
    return any(fnmatchcase(path, f"*/{pattern}") for path in paths for pattern in patterns)
