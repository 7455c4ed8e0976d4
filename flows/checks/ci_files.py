"""Refuses changes to files that CI runs, because CI runs them with its own credentials."""

from flows.checks.base import Inspection, matches
from flows.errors import CiFilesChanged
from flows.repository.ci_files import PATTERNS


def check_ci_files(inspection: Inspection) -> None:
    """Raise `CiFilesChanged` if a changed file matches `PATTERNS`, unless `allow_ci_changes` is set."""
    files = inspection.name_files(lambda file: matches(file, PATTERNS))
    if files and not inspection.policy.allow_ci_changes:
        raise CiFilesChanged(
            f"the change touches files that CI runs with its own credentials: {files}: set policy.allow_ci_changes if "
            "that is wanted"
        )
