"""Gives the agent's repository the refs that a developer's clone has, and remembers what they point to.

These are the branches of the remote that were fetched, a local branch for each of them, and the tags. All commits that
they reach were there before the agent, so they are not the agent's work.
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flows.repository.git_commands import run_git
from flows.sandbox.workspace import Workspace

_REMOTE: Final = "refs/remotes/origin/"
_FORMAT: Final = "%(objectname) %(*objectname) %(refname)"
_HEADER: Final = "# pack-refs with: peeled fully-peeled sorted \n"
"""With this first line, which git-pack-refs writes as well, git neither sorts the refs nor reads the tags' objects."""


@dataclass(frozen=True)
class Ref:
    """A ref of a git repository, as the file `packed-refs` holds it."""

    name: str
    id: str
    peeled: str = ""
    """For an annotated tag: the id of the object that the tag points to."""

    @property
    def line(self) -> str:
        """The ref's line of the file `packed-refs`; two lines for an annotated tag."""
        return f"{self.id} {self.name}\n" + (f"^{self.peeled}\n" if self.peeled else "")


def write_refs(workspace: Workspace, branch: str, base: str, default_branch: str) -> list[str]:
    """Write the refs of the agent's repository, which has none yet. Return the names of the local branches.

    Args:
        workspace: The run's directories. `clean.git` has what was fetched from the remote.
        branch: The branch that the agent works on.
        base: The commit that the work starts from.
        default_branch: The remote's default branch; empty if it is not known.
    """
    fetched = _fetched_refs(workspace.clean_git)
    remote_branches = {ref.name.removeprefix(_REMOTE): ref.id for ref in fetched if ref.name.startswith(_REMOTE)}
    local = {**remote_branches, branch: base}
    refs = [*(Ref(f"refs/heads/{name}", id_) for name, id_ in local.items()), *fetched]
    repository = workspace.work_tree / ".git"
    write_packed_refs(repository, refs)
    if default_branch in remote_branches:
        head = repository / _REMOTE / "HEAD"
        head.parent.mkdir(parents=True)
        head.write_text(f"ref: {_REMOTE}{default_branch}\n")
    if (shallow := workspace.clean_git / "shallow").exists():
        shutil.copyfile(shallow, repository / "shallow")
    _commits_file(workspace).write_text("".join(f"{id_}\n" for id_ in {ref.peeled or ref.id for ref in refs}))
    return list(local)


def write_packed_refs(git_dir: Path, refs: Iterable[Ref]) -> None:
    """Write the refs of a repository that has no packed refs yet."""
    with (git_dir / "packed-refs").open("w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(_HEADER)
        file.writelines(ref.line for ref in sorted(refs, key=lambda ref: ref.name.encode("utf-8", "surrogateescape")))


def checkout_commits(workspace: Workspace) -> set[str]:
    """Return the ids of the objects that the refs of the agent's repository pointed to before the agent started."""
    return set(_commits_file(workspace).read_text().split())


def _fetched_refs(clean: Path) -> list[Ref]:
    if any((clean / "refs" / "tags").iterdir()):
        # git reads each ref that is a file of its own.
        run_git(["pack-refs", "--all"], git_dir=clean)
    listing = run_git(["for-each-ref", f"--format={_FORMAT}", _REMOTE, "refs/tags/"], git_dir=clean).text
    fields = (line.split(" ", 2) for line in listing.split("\n") if line)
    return [Ref(name, id_, peeled) for id_, peeled, name in fields]


def _commits_file(workspace: Workspace) -> Path:
    return workspace.trusted / "checkout.commits"
