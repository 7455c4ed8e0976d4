"""Defines the branches and tags of a remote, and reads them from the output of `git ls-remote`."""

from dataclasses import dataclass, field
from typing import Final

REF_PATTERNS: Final = ("HEAD", "refs/heads/*", "refs/tags/*")
"""The refs that `parse_refs` needs, as patterns for `git ls-remote`."""

_TAGS: Final = "refs/tags/"


@dataclass(frozen=True)
class Tag:
    """A tag of the remote."""

    id: str
    """The id of the tag's own object; for a lightweight tag, of the commit."""
    peeled: str = ""
    """The id of the object that an annotated tag points to; empty for a lightweight tag."""

    @property
    def target(self) -> str:
        """The id of the object that the tag points to, which usually is a commit."""
        return self.peeled or self.id


@dataclass(frozen=True)
class RemoteRefs:
    """The remote's branches and tags, and the default branch if the remote reports one."""

    branches: dict[str, str]
    """The commit of each branch, by the branch's name."""
    default_branch: str
    """The branch that the remote's HEAD points to; empty if HEAD is not on a branch, or the remote does not say."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Branches that are symbolic refs, each with the branch that it points to. Only git's protocol 2 lists them."""
    tags: dict[str, Tag] = field(default_factory=dict)

    @property
    def default_is_known(self) -> bool:
        """Whether the remote's HEAD points to a branch that exists."""
        return self.default_branch in self.branches


def parse_refs(listing: str) -> RemoteRefs:
    """Return the refs in the output of `git ls-remote --symref`.

    The line `refs/tags/v1^{}`, which follows the line of an annotated tag, has the object that the tag points to.
    """
    lines = [line.partition("\t") for line in listing.split("\n") if line]
    targets = {ref: value.removeprefix("ref: ") for value, _, ref in lines if value.startswith("ref: ")}
    commits = {ref: value for value, _, ref in lines if not value.startswith("ref: ")}
    branches = {_branch(ref): commit for ref, commit in commits.items() if _branch(ref)}
    aliases = {_branch(ref): _branch(target) for ref, target in targets.items() if _branch(ref)}
    tags = {
        ref.removeprefix(_TAGS): Tag(id_, commits.get(f"{ref}^{{}}", ""))
        for ref, id_ in commits.items()
        if ref.startswith(_TAGS) and not ref.endswith("^{}")
    }
    return RemoteRefs(branches, _branch(targets.get("HEAD", "")), aliases, tags)


def _branch(ref: str) -> str:
    """Return the name of a branch from its ref, such as `refs/heads/main`; empty if the ref is not a branch."""
    return ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else ""
