"""Refuses files that are too large."""

import math

from flows.checks.base import Inspection
from flows.errors import FileTooLarge


def check_sizes(inspection: Inspection) -> None:
    """Raise `FileTooLarge` if a changed file is larger than `max_file_mb` megabytes; 0 allows any size."""
    limit_mb = inspection.policy.max_file_mb
    limit = limit_mb * 10**6 or math.inf
    if files := inspection.name_files(lambda file: inspection.sizes.get(file.blob, 0) > limit):
        raise FileTooLarge(
            f"the change has files of more than {limit_mb} MB: {files}: have the agent add them to .gitignore, store "
            "them with Git LFS, or raise policy.max_file_mb"
        )
