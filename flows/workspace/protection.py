"""Which branches a run may not push to unless `allow_default_branch` is set: the default branch, and any that may be it."""

from typing import Final

from flows.errors import ProtectedBranch
from flows.workspace.remote import RemoteRefs

_USUAL_DEFAULTS: Final = frozenset({"main", "master", "trunk", "default", "develop"})
"""Names that a remote's HEAD may hold before the branch exists: git does not report such a HEAD to its client."""


def check_protection(refs: RemoteRefs, branch: str, *, allow_default_branch: bool) -> None:
    """Raise `ProtectedBranch`, with the reason, for a branch that is or may be the default branch."""
    if not allow_default_branch and (reason := _reason(refs, branch)):
        raise ProtectedBranch(f"{reason}: choose another branch_name, or set allow_default_branch")


def _reason(refs: RemoteRefs, branch: str) -> str:
    default = refs.default_branch
    if branch == default:
        return f"{branch!r} is the default branch"
    if refs.aliases.get(branch, branch) == default:
        return f"{branch!r} is another name of the default branch {default!r} on the remote"
    # On a case-insensitive file system the server writes both to the same file.
    if branch.casefold() == default.casefold():
        return f"{branch!r} differs from the default branch {default!r} only in case"
    if refs.default_is_known:
        return ""
    if branch in refs.branches:
        return f"the remote does not say which branch is its default branch, and {branch!r} may be it"
    if branch.casefold() in _USUAL_DEFAULTS:
        return (
            f"the remote does not say which branch is its default branch, and {branch!r} may become it when it is created"
        )
    return ""
