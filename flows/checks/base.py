"""The input of every check: the change, its files and the policy."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Final, Protocol

from flows.parameters.change_policy import ChangePolicy
from flows.repository import objects
from flows.repository.collect import Change
from flows.repository.objects import ChangedFile

_NAMED_FILES: Final = 5


@dataclass(frozen=True)
class Inspection:
    """One change under inspection. Data from git objects is read once, when a check first needs it."""

    git_dir: Path
    """The trusted bare repository that holds the change."""
    change: Change
    policy: ChangePolicy

    @cached_property
    def files(self) -> Sequence[ChangedFile]:
        """The changed files."""
        return objects.changed_files(self.git_dir, self.change.checkout.base_commit, self.change.commit)

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """The size in bytes of each blob of the changed files, both new and old."""
        return objects.sizes(self.git_dir, {blob for file in self.files for blob in file.blobs})

    def name_files(self, condition: Callable[[ChangedFile], bool]) -> str:
        """Name the changed files that meet a condition, for a message: at most five; "" if no file does."""
        paths = [file.path for file in self.files if condition(file)]
        names = [repr(path.encode("utf-8", "replace").decode()) for path in paths[:_NAMED_FILES]]
        more = [f"and {len(paths) - _NAMED_FILES} more"] if len(paths) > _NAMED_FILES else []
        return ", ".join(names + more)


class Check(Protocol):
    """One check of a change. It raises a `RunError` if the policy does not allow the change."""

    def __call__(self, inspection: Inspection, /) -> None:
        """Check the change."""


def matches(file: ChangedFile, patterns: Sequence[str]) -> bool:
    """Whether the file's new or old path matches one of the patterns, in any directory, ignoring case."""
    paths = {f"/{path.lower()}" for path in (file.path, file.old_path)}
    return any(fnmatchcase(path, f"*/{pattern}") for path in paths for pattern in patterns)
