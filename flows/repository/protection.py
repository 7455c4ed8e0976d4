"""Protects branches that are or may be the default branch: a run pushes to one only with `allow_default_branch`."""

from typing import Final

from flows.errors import ProtectedBranch
from flows.repository.remote_refs import RemoteRefs

_USUAL_DEFAULTS: Final = frozenset({"main", "master", "trunk", "default", "develop"})
"""Usual names of default branches. An unborn HEAD may point to one, and git does not report such a HEAD to clients."""


def check_protection(refs: RemoteRefs, branch: str, *, allow_default_branch: bool) -> None:
    """Raise `ProtectedBranch`, with the reason, if the branch is or may be the default branch."""
    if not allow_default_branch and (reason := _reason(refs, branch)):
        raise ProtectedBranch(f"{reason}: choose another branch_name, or set allow_default_branch")


def _reason(refs: RemoteRefs, branch: str) -> str:
    """Return why the branch is protected; empty if the branch is not protected."""
    default = refs.default_branch
    unknown = "the remote does not say which branch is its default branch, and"
    reasons = {
        f"{branch!r} is the default branch": branch == default,
        f"{branch!r} is another name of the default branch {default!r} on the remote": default
        and refs.aliases.get(branch) == default,
        # On a case-insensitive file system the server writes both to the same file.
        f"{branch!r} differs from the default branch {default!r} only in case": branch.casefold() == default.casefold(),
        f"{unknown} {branch!r} may be the default branch": not refs.default_is_known and branch in refs.branches,
        f"{unknown} {branch!r} may become the default branch when it is created": not refs.default_is_known
        and branch.casefold() in _USUAL_DEFAULTS,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")
