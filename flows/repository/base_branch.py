"""Compares a branch with the branch that it shall be merged into, and merges them in the trusted repository."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flows.repository.git_commands import command_line, execute_git, isolated_environment, run_git
from flows.text_safety import one_line

_EMPTY_TREE: Final = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_CONFIG: Final = (
    "user.name=merge",
    "user.email=merge@example.com",
    f"attr.tree={_EMPTY_TREE}",  # an attribute of a commit must not choose how files are merged
)
_CONFLICTS: Final = 1
_NAMED: Final = 10


@dataclass(frozen=True)
class Merge:
    """What the merge of two commits gives."""

    tree: str
    """The tree. Texts that conflict have conflict markers; any other file has the version of one side."""
    conflicts: tuple[str, ...] = ()
    """The paths of the files that conflict. A byte that is not UTF-8 is half of a surrogate pair."""


@dataclass(frozen=True)
class BaseState:
    """How far a branch is behind its base branch."""

    base: str
    commit: str
    """The newest commit of the base branch."""
    fork: str
    """The newest commit that both branches have; empty if the fetched history does not have it."""
    merge: "Merge | None" = None
    """What a merge gives; None if the base has not moved, or if git cannot merge."""

    @property
    def has_moved(self) -> bool:
        """Whether the base branch has commits that the branch lacks."""
        return self.fork != self.commit

    @property
    def note(self) -> str:
        """A sentence for people; empty if the base has not moved."""
        if not self.has_moved:
            return ""
        if self.merge is None or not self.merge.conflicts:
            return f"{self.base} has moved on to {self.commit[:12]}" + (", without conflicts" if self.merge else "")
        paths = self.merge.conflicts
        names = one_line(", ".join(paths[:_NAMED])) + (" and more" if len(paths) > _NAMED else "")
        return (
            f"{self.base} has moved on to {self.commit[:12]}, and conflicts with the branch in {names}: set "
            "merge_base=true to let the agent merge it"
        )


def compare(git_dir: Path, head: str, base: str) -> BaseState | None:
    """Return how a commit compares with a fetched branch; None if the branch is not fetched."""
    ref = f"refs/remotes/origin/{base}"
    tip = execute_git(command_line(["rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"], git_dir=git_dir))
    if tip.status:
        return None
    commit = tip.text
    ancestor = execute_git(command_line(["merge-base", commit, head], git_dir=git_dir))
    fork = ancestor.text if not ancestor.status else ""
    if fork == commit:
        return BaseState(base, commit, fork)
    return BaseState(base, commit, fork, merge(git_dir, head, commit) if fork else None)


def merge(git_dir: Path, head: str, other: str) -> Merge | None:
    """Return what the merge of two commits gives; None if this git cannot merge without a work tree."""
    arguments = ["merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", head, other]
    environment = isolated_environment({"GIT_ATTR_NOSYSTEM": "1"})
    result = execute_git(command_line(arguments, config=_CONFIG, git_dir=git_dir), environment=environment)
    if result.status not in {0, _CONFLICTS}:
        return None
    tree, *paths = result.stdout.decode("utf-8", "surrogateescape").split("\0")
    return Merge(tree, tuple(path for path in paths if path))


def start_of_work(git_dir: Path, base_commit: str, merged_commit: str) -> str:
    """Return what the agent's work tree had at its start: the base commit, or the tree of the merge.

    What differs from it is the agent's own work. The rest of a merge is on the remote already.
    """
    merged = merge(git_dir, base_commit, merged_commit) if merged_commit else None
    return merged.tree if merged else base_commit


def commit_of_tree(git_dir: Path, tree: str, parent: str) -> str:
    """Return a commit of a tree, which is only for the work tree and is never pushed."""
    return run_git(["commit-tree", tree, "-p", parent, "-m", "merge"], config=_CONFIG, git_dir=git_dir).text


def files_with_markers(git_dir: Path, commit: str, paths: Sequence[str]) -> tuple[str, ...]:
    """Return those of the files that still have conflict markers in a commit."""
    if not paths:
        return ()
    pattern = ["grep", "-l", "-z", "-E", "-e", "^(<{7}|>{7}) ", commit, "--", *paths]
    line = command_line(["--literal-pathspecs", *pattern], config=_CONFIG, git_dir=git_dir)
    files = execute_git(line).stdout.decode("utf-8", "surrogateescape").split("\0")
    return tuple(file.removeprefix(f"{commit}:") for file in files if file)


def files_left(git_dir: Path, merged: Merge, commit: str) -> tuple[str, ...]:
    """Return those of the files that conflict which are in a commit as git has left them."""
    listing = run_git(["diff-tree", "-r", "-z", "--name-only", "--no-renames", merged.tree, commit], git_dir=git_dir)
    changed = set(listing.stdout.decode("utf-8", "surrogateescape").split("\0"))
    return tuple(path for path in merged.conflicts if path not in changed)


def difference(git_dir: Path, old: str, new: str, limit: int) -> str:
    """Return the diff between two commits, at most `limit` characters of it."""
    arguments = ["diff-tree", "-p", "--stat=100", "--no-ext-diff", "--no-textconv", old, new]
    result = execute_git(command_line(arguments, git_dir=git_dir))
    return "" if result.status else result.stdout.decode("utf-8", "replace")[:limit]
