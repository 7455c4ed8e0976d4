"""Finds the branch, tag or commit of the remote that `base_branch` names. The work starts from there."""

import re
from dataclasses import dataclass
from typing import Final

from flows.errors import BaseRefNotFound
from flows.repository.remote_refs import RemoteRefs

_BRANCHES: Final = "refs/heads/"
_TAGS: Final = "refs/tags/"
_COMMIT_ID: Final = "[0-9a-fA-F]{40}"
_SHORT_ID: Final = "[0-9a-fA-F]{4,39}"
_LISTED: Final = 10


@dataclass(frozen=True)
class StartPoint:
    """A branch, a tag or a commit of the remote."""

    name: str
    """The name of the branch or of the tag, or the id of the commit."""
    ref: str
    """The ref on the remote, such as `refs/heads/main`. For a commit: its id."""

    @classmethod
    def of_branch(cls, name: str) -> "StartPoint":
        """Return a branch as a start point."""
        return cls(name, f"{_BRANCHES}{name}")

    @property
    def is_branch(self) -> bool:
        """Whether the start point is a branch."""
        return self.ref.startswith(_BRANCHES)

    @property
    def is_commit(self) -> bool:
        """Whether the start point is a commit, which the user named by its id."""
        return not self.ref.startswith("refs/")

    @property
    def local_ref(self) -> str:
        """The ref in `clean.git` into which the start point is fetched."""
        if self.is_branch:
            return f"refs/remotes/origin/{self.name}"
        return "refs/claude-code-headless/base"

    @property
    def refspec(self) -> str:
        """The refspec that fetches the start point."""
        return f"+{self.ref}:{self.local_ref}"


def find_start_point(refs: RemoteRefs, name: str) -> StartPoint:
    """Return the branch, tag or commit of the remote with this name. A commit is named by its full id.

    Raises:
        BaseRefNotFound: The remote has no such branch or tag, or has both, at different commits.
    """
    branch, tag = refs.branches.get(name, ""), refs.tags[name].target if name in refs.tags else ""
    if branch and tag and branch != tag:
        raise BaseRefNotFound(
            f"base_branch {name!r} is the name of both a branch and a tag: set base_branch to the id of the commit, "
            f"which is {branch} for the branch and {tag} for the tag"
        )
    if branch:
        return StartPoint.of_branch(name)
    if tag:
        return StartPoint(name, f"{_TAGS}{name}")
    if re.fullmatch(_COMMIT_ID, name):
        return StartPoint(name.lower(), name.lower())
    advice = "; a commit needs its full id of 40 digits" if re.fullmatch(_SHORT_ID, name) else ""
    raise BaseRefNotFound(
        f"base_branch {name!r} is not a branch or a tag on the remote; the remote has {branches(refs)}{advice}"
    )


def branches(refs: RemoteRefs) -> str:
    """Return the names of up to ten branches of the remote, for a message."""
    return ", ".join(sorted(refs.branches)[:_LISTED])
