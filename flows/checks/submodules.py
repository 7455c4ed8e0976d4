"""Refuses changes to submodules, and links to other repositories inside the repository."""

from flows.checks.base import Inspection
from flows.errors import UnexpectedSubmodule
from flows.repository.objects import SUBMODULE


def check_submodules(inspection: Inspection) -> None:
    """Raise `UnexpectedSubmodule` if the change touches submodules or .gitmodules, unless `allow_submodules` is set."""
    files = inspection.name_files(lambda file: SUBMODULE in {file.mode, file.old_mode} or file.path == ".gitmodules")
    if files and not inspection.policy.allow_submodules:
        raise UnexpectedSubmodule(
            f"the change touches submodules, or contains another repository: {files}: set policy.allow_submodules if "
            "that is wanted"
        )
