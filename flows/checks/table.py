"""Lists all checks of a change in the order in which they run, and runs them before the change is pushed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from flows.checks.agent_files import check_agent_files
from flows.checks.base import Check, Inspection
from flows.checks.ci_files import check_ci_files
from flows.checks.commit_message import check_commit_message
from flows.checks.deletions import check_deletions
from flows.checks.leaks import check_leaks
from flows.checks.lfs import check_lfs
from flows.checks.new_files import check_new_files
from flows.checks.sizes import check_sizes
from flows.checks.submodules import check_submodules
from flows.checks.symlinks import check_symlinks
from flows.errors import RunError
from flows.parameters.change_policy import ChangePolicy
from flows.repository.collect import Change

CHECKS: Final[tuple[Check, ...]] = (
    check_submodules,
    check_ci_files,
    check_agent_files,
    check_new_files,
    check_lfs,
    check_sizes,
    check_symlinks,
    check_deletions,
    check_commit_message,
    check_leaks,
)


_SEEN_IN_THE_CHANGE: Final = tuple(
    check for check in CHECKS if check not in {check_lfs, check_commit_message, check_leaks}
)
"""The checks whose refusals a reviewer can judge."""


def check_change(git_dir: Path, change: Change, policy: ChangePolicy) -> None:
    """Raise the error of the first check that does not allow the change.

    Args:
        git_dir: The trusted repository, which contains the change. The checks read only its git objects.
        change: The change to check.
        policy: What a change may contain.
    """
    inspection = Inspection(git_dir, change, policy)
    for check in CHECKS:
        check(inspection)


def exceptions(git_dir: Path, change: Change, policy: ChangePolicy) -> Iterator[str]:
    """Yield for a reviewer what the policy allowed in a change although the default policy would refuse it."""
    if policy == ChangePolicy():
        return
    inspection = Inspection(git_dir, change, ChangePolicy())
    for check in _SEEN_IN_THE_CHANGE:
        try:
            check(inspection)
        except RunError as error:
            yield str(error).rpartition(": ")[0]  # without the advice
