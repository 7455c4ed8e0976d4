"""Refuses a change that deletes too much of the repository."""

from typing import Final

from flows.checks.base import Inspection
from flows.errors import TooManyDeletions
from flows.repository import objects

_FEW_FILES: Final = 10
"""How many files a change may always delete, even in a small repository."""


def check_deletions(inspection: Inspection) -> None:
    """Raise `TooManyDeletions` if the change deletes a larger share of the base's files than `max_deleted_share`."""
    deleted = sum(file.is_deleted for file in inspection.files)
    before = objects.file_count(inspection.git_dir, inspection.change.checkout.base_commit)
    if deleted > _FEW_FILES and deleted > before * inspection.policy.max_deleted_share:
        raise TooManyDeletions(
            f"the change deletes {deleted} of {before} files, {inspection.name_files(lambda file: file.is_deleted)}: "
            "raise policy.max_deleted_share if that is wanted"
        )
