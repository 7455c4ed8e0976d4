"""Refuses a change that adds too many files."""

from collections import Counter

from flows.checks.base import Inspection
from flows.errors import TooManyNewFiles
from flows.repository.objects import ABSENT

_NAMED_FOLDERS = 3


def check_new_files(inspection: Inspection) -> None:
    """Raise `TooManyNewFiles` if the change adds more files than `max_new_files`; 0 allows any number."""
    limit = inspection.policy.max_new_files
    paths = [file.path for file in inspection.files if file.old_mode == ABSENT]
    if not limit or len(paths) <= limit:
        return
    counts = Counter(path.partition("/")[0] for path in paths)
    folders = ", ".join(f"{name!r} ({count})" for name, count in counts.most_common(_NAMED_FOLDERS))
    raise TooManyNewFiles(
        f"the change adds {len(paths)} files, most of them in {folders}: have the agent add what tools create to "
        ".gitignore, or raise policy.max_new_files"
    )
