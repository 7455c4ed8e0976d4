"""Refuses files that are too large."""

import math

from flows.checks.base import Inspection
from flows.errors import FileTooLarge
from flows.repository.objects import ChangedFile


def check_sizes(inspection: Inspection) -> None:
    """Raise `FileTooLarge` if a changed file is larger than `max_file_mb` megabytes; 0 allows any size."""
    limit_mb = inspection.policy.max_file_mb
    limit = limit_mb * 10**6 or math.inf
    contents = {path: inspection.pointers[path].size for path in inspection.lfs_contents}

    def is_too_large(file: ChangedFile) -> bool:
        return max(inspection.sizes.get(file.blob, 0), contents.get(file.path, 0)) > limit

    if files := inspection.name_files(is_too_large):
        raise FileTooLarge(
            f"the change has files of more than {limit_mb} MB: {files}: have the agent add them to .gitignore, store "
            "them with Git LFS, or raise policy.max_file_mb"
        )
