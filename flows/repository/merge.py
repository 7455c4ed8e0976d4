"""Applies a change to a newer commit, by a three-way merge of trees in the trusted repository `clean.git`.

The merge reads only git objects. It needs no work tree, and no history, which a shallow clone may lack. git looks for
the merge base itself. Therefore a temporary commit takes the place of the newer commit in the merge. It has the same
tree, and its only parent is the change's base, so git finds that base.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from flows.errors import ChangeConflicts, GitTooOld
from flows.repository import objects
from flows.repository.attributes import attribute_values
from flows.repository.clone import Checkout
from flows.repository.collect import Change, file_changes
from flows.repository.git_commands import check_git, command_line, execute_git, isolated_environment, run_git

_EMPTY_TREE: Final = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_CONFIG: Final = (
    "user.name=merge",
    "user.email=merge@example.com",
    # A recent git would read attributes from the agent's commit, and an attribute can choose how files are merged.
    f"attr.tree={_EMPTY_TREE}",
)
_CONFLICTS: Final = 1
_USAGE: Final = 129
"""git's exit status for an option that it does not know."""

_HISTORY_MAX: Final = 1000
_NAMED_FILES: Final = 5
_NO_TEXT_MERGE: Final = {"unset", "binary"}
"""The values of the attribute `merge` with which a repository says that git must not merge a file's lines."""

_RENAMED: Final = re.compile(r"~[0-9a-f]{40}(_[0-9]+)?\Z")
"""Matches what git adds to a file's path if the other side has a folder with the file's name."""

_TREE_AND_PARENTS: Final = re.compile(rb"\Atree [0-9a-f]+\n(parent [0-9a-f]+\n)*")


@dataclass(frozen=True)
class _Conflict:
    path: str
    kind: str
    """git's words for the kind of conflict, such as "modify/delete"."""


def apply_change(git_dir: Path, change: Change, checkout: Checkout) -> Change:
    """Return the change as one commit on top of `checkout.base_commit`, with its author, date and message.

    The same change on the same commit always gives the same commit id. If an earlier delivery has pushed the commit,
    and nothing was pushed after it, that commit is returned. If the branch has the change in another way, the result
    has no commit, and names the branch in `already_on`.

    Args:
        git_dir: The trusted repository. It contains both commits and the base of the change.
        change: The change, on top of the commit that the work started from.
        checkout: The commit to apply the change to, with its branch and the branch to push.

    Raises:
        ChangeConflicts: The change and the newer commit changed the same files in different ways.
        GitTooOld: The git of this machine cannot merge without a work tree.
    """
    newer = checkout.base_commit
    newer_tree = run_git(["rev-parse", f"{newer}^{{tree}}"], git_dir=git_dir).text
    if newer == change.commit:
        return replace(change, checkout=replace(checkout, base_commit=change.checkout.base_commit))
    delivered = _earlier_delivery(git_dir, change, newer)
    if delivered == newer and checkout.continues:
        parent = run_git(["rev-parse", f"{newer}^"], git_dir=git_dir).text
        return _applied(git_dir, change, replace(checkout, base_commit=parent), newer)
    tree = newer_tree if delivered else _merged_tree(git_dir, change, checkout)
    if tree == newer_tree:
        return replace(change, commit="", checkout=checkout, files=(), already_on=checkout.base_branch)
    content = f"tree {tree}\nparent {newer}\n".encode() + _identity(git_dir, change.commit)
    with TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        commit = run_git(["hash-object", "-t", "commit", "-w", "--stdin"], git_dir=git_dir, stdin=file).text
    return _applied(git_dir, change, checkout, commit)


def _applied(git_dir: Path, change: Change, checkout: Checkout, commit: str) -> Change:
    files = file_changes(git_dir, checkout.base_commit, commit)
    tree = run_git(["rev-parse", f"{commit}^{{tree}}"], git_dir=git_dir).text
    applied = replace(change, commit=commit, checkout=checkout, files=files)
    return replace(applied, applied_to=checkout.base_commit, applied_tree=tree)


def _earlier_delivery(git_dir: Path, change: Change, newer: str) -> str:
    """Return the commit in the history of `newer` that an earlier delivery of the change made; empty without one.

    Such a commit has the author, date and message of the change's commit. In a shallow clone, only the fetched history
    is searched.
    """
    limit = f"--max-count={_HISTORY_MAX}"
    history = run_git(["rev-list", limit, newer, f"^{change.checkout.base_commit}"], git_dir=git_dir).text.split()
    identity = _identity(git_dir, change.commit)
    commits = objects.contents(git_dir, history)
    return next((id_ for id_, content in commits.items() if _without_place(content) == identity), "")


def _identity(git_dir: Path, commit: str) -> bytes:
    return _without_place(objects.contents(git_dir, [commit])[commit])


def _without_place(content: bytes) -> bytes:
    """Return a commit's content without its tree and its parents: author, committer and message remain."""
    return _TREE_AND_PARENTS.sub(b"", content, count=1)


def _merged_tree(git_dir: Path, change: Change, checkout: Checkout) -> str:
    base, newer = change.checkout.base_commit, checkout.base_commit
    stand_in = ["commit-tree", f"{newer}^{{tree}}", "-p", base, "-m", "newer"]
    other = run_git(stand_in, config=_CONFIG, git_dir=git_dir).text
    arguments = ["merge-tree", "--write-tree", "-z", other, change.commit]
    environment = isolated_environment({"GIT_ATTR_NOSYSTEM": "1"})
    result = execute_git(command_line(arguments, config=_CONFIG, git_dir=git_dir), environment=environment)
    if result.status == _USAGE:
        version = run_git(["version"]).text
        raise GitTooOld(
            f"apply_to_latest needs git 2.38 or newer, and this machine has {version}: update git, or deliver without "
            "apply_to_latest"
        )
    tree, *fields = result.stdout.decode("utf-8", "surrogateescape").split("\0")
    if result.status == _CONFLICTS and tree:
        conflicts = list(_conflicts(fields))
    else:
        check_git(result)
        conflicts = list(_forbidden_merges(git_dir, change, newer, tree))
    if conflicts:
        raise ChangeConflicts(f"the change conflicts with {checkout.base_branch} at {newer[:12]}: {_names(conflicts)}")
    return tree


def _conflicts(fields: list[str]) -> Iterator[_Conflict]:
    """Yield the conflicts in the output of `git merge-tree -z`, after the tree; git-merge-tree(1) describes the format.

    First come the versions of each file that conflicts, then an empty field, then the messages.
    """
    end = fields.index("")
    versions: dict[str, set[str]] = {}
    for field in fields[:end]:
        header, _, path = field.partition("\t")
        versions.setdefault(path, set()).add(header.rpartition(" ")[2])
    kinds = _kinds(fields[end + 1 :]) or dict.fromkeys(versions, "contents")
    for path, kind in sorted(kinds.items()):
        yield _Conflict(path, "add/add" if kind == "contents" and versions.get(path) == {"2", "3"} else kind)


def _kinds(messages: list[str]) -> dict[str, str]:
    """Return, by the path of each conflict, its kind. A message is a number of paths, the paths, a kind and a text.

    After the messages, some versions of git print advice about submodules.
    """
    kinds, start = dict[str, str](), 0
    while start < len(messages) and messages[start].isdigit():
        end = start + 1 + int(messages[start])
        if messages[end].startswith("CONFLICT"):
            path = _RENAMED.sub("", messages[start + 1])
            kinds.setdefault(path, messages[end].removeprefix("CONFLICT").strip(" ()"))
        start = end + 2
    return kinds


def _forbidden_merges(git_dir: Path, change: Change, newer: str, tree: str) -> Iterator[_Conflict]:
    """Yield the files whose lines git has merged, although the repository's attributes do not allow that."""
    own = {file.blob for file in objects.changed_files(git_dir, change.checkout.base_commit, change.commit)}
    files = objects.changed_files(git_dir, newer, tree)
    if paths := [file.path for file in files if not file.is_deleted and file.blob not in own]:
        for path, value in attribute_values(git_dir, newer, "merge", paths).items():
            if value in _NO_TEXT_MERGE:
                yield _Conflict(path, "binary by .gitattributes")


def _names(conflicts: list[_Conflict]) -> str:
    names = [
        f"{conflict.path.encode('utf-8', 'replace').decode()!r} ({conflict.kind})"
        for conflict in conflicts[:_NAMED_FILES]
    ]
    more = [f"and {len(conflicts) - _NAMED_FILES} more"] if len(conflicts) > _NAMED_FILES else []
    return ", ".join(names + more)
