"""Commits the files of the agent's work tree to a temporary repository. git runs as the agent's user.

Starting and ending a process as the agent's user takes about 15 ms. Therefore one script runs most of the git commands.
More scripts run, for example, if the work tree contains another repository, or if entries of the index must be
corrected.
"""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final

from flows.errors import disk_full_error
from flows.repository.agent_git import work_tree_command
from flows.repository.collection import (
    SECTION_END,
    SUBMODULE,
    Entry,
    base_entries,
    normalized_entries,
    parse_raw_diff,
    parse_stage,
)
from flows.repository.git_commands import check_git, isolated_environment
from flows.repository.setup_files import REMOVED, agent_tree
from flows.sandbox import commands
from flows.sandbox.processes import CommandResult
from flows.sandbox.workspace import Workspace

_NO_COMMIT: Final = re.compile(r"error: '(.+?)/?' does not have a commit checked out")
_MAX_NESTED: Final = 200
_NO_MODE: Final = "000000"
_PLAIN_FILE: Final = "100644"
_PROGRAM: Final = "100755"
_EMPTY_TREE: Final = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_END_SECTION: Final = r"printf '\000\000\000'"
_MAKE_READABLE: Final = r"""
find "$1" -type d ! -perm -700 -exec chmod u+rwx {} \;
find "$1" -type f ! -perm -400 -exec chmod u+r {} +
"""


@dataclass(frozen=True)
class Commit:
    """The commit that `commit_work_tree` made of the agent's work tree."""

    tree: str
    nested: tuple[str, ...] = ()
    """Paths of git repositories inside the work tree. The commit has their files, but not their history."""
    left_out: tuple[str, ...] = ()
    """Paths of files whose changes are not in the commit, because the paths match a pattern of `leave_out`."""
    setup_files: tuple[str, ...] = ()
    """Paths of files that the setup command made and the agent changed. The commit has them."""
    submodules: Mapping[str, str] = field(default_factory=dict)
    """For the path of each new or updated submodule: a tree with the submodule's files. The commit has only a link."""


def make_readable(workspace: Workspace) -> None:
    """Make all files of the work tree readable for the agent's user, even files with a mode such as 000."""
    commands.run(workspace, ["sh", "-c", _MAKE_READABLE, "sh", str(workspace.work_tree)])


def commit_work_tree(
    workspace: Workspace,
    repository: Path,
    base: str,
    ref: str,
    *,
    environment: Mapping[str, str] | None = None,
    leave_out: Sequence[str] = (),
    despite_faults: bool = False,
    beside_agent: bool = False,
) -> Commit:
    """Commit all files of the work tree to `repository`, point `ref` to the commit, and return the commit.

    Args:
        workspace: The run's directories.
        repository: A temporary repository, from `create_repository`. The commit updates the repository's index.
        base: The commit's parent.
        ref: The ref that shall point to the new commit.
        environment: Additional variables for git.
        leave_out: Patterns of paths. Changes to files whose paths match are not committed.
        despite_faults: Whether to leave out files that git cannot read; otherwise such a file is an error.
        beside_agent: Whether the agent keeps running during the commit. If so, a full disk is always an error: a
            later commit may find enough space.

    Raises:
        GitFailed: git failed.
        DiskFull: The disk is full.
    """
    committer = _Committer(workspace, repository, base, ref, environment or {}, despite_faults, beside_agent, leave_out)
    return committer.commit()


def tree_of(workspace: Workspace, repository: Path, directory: Path) -> str:
    """Store the files of a directory, such as another work tree of the agent, as a git tree; return the tree's id."""
    committer = _Committer(workspace, repository, "", "", {}, despite_faults=True, beside_agent=False)
    return committer.tree_of_directory(directory)


@dataclass
class _Committer:
    workspace: Workspace
    repository: Path
    base: str
    ref: str
    environment: Mapping[str, str]
    despite_faults: bool
    beside_agent: bool
    leave_out: Sequence[str] = ()
    nested: list[str] = field(default_factory=list)
    submodules: dict[str, str] = field(default_factory=dict)
    index_count: int = 0

    def commit(self) -> Commit:
        work_tree, index = self.workspace.work_tree, self.repository / "index"
        changes, without_commit, tree = self._add(work_tree, index, compare_with=self.base)
        edits = self._include_nested("", work_tree, changes, without_commit)
        left_out = sorted(path for path in changes if self._is_left_out(path))
        corrections = {
            **self._untouched(changes),
            **self._committed_modes(changes),
            **dict.fromkeys(left_out, REMOVED),
            **(base_entries(self.workspace, self.base, left_out) if left_out else {}),
        }
        if corrections or edits:
            self._correct(corrections)
            script = [*edits, *self._commit_commands(work_tree)]
            tree = self._check(self._run(script, index)).text.split("\n")[-1]
        own = agent_tree(self.workspace, self.repository, self.base, tree, beside_agent=self.beside_agent)
        if own.tree != tree:
            self._check(self._run(self._commit_commands(work_tree, own.tree), index))
        return Commit(own.tree, tuple(self.nested), tuple(left_out), own.changed, self.submodules)

    def tree_of_directory(self, directory: Path) -> str:
        """Add a directory, with the files of repositories inside it, to a new index; return the id of its tree."""
        self.index_count += 1
        index = self.repository / f"{self.index_count}.index"
        entries, without_commit, _ = self._add(directory, index, compare_with="")
        edits = self._include_nested(f"{directory}/", directory, entries, without_commit)
        return self._check(self._run([*edits, self._git(directory, "write-tree")], index)).text.split("\n")[-1]

    def _add(self, work_tree: Path, index: Path, *, compare_with: str) -> tuple[dict[str, Entry], set[str], str]:
        """Add all files of a directory to an index. If `compare_with` is a commit, also commit the index.

        Returns:
            Three values: the index's entries that differ from `compare_with`, or all if `compare_with` is empty; the
            paths of repositories without a commit, which git cannot add; the committed tree's id, or an empty string.
        """
        without_commit = set[str]()
        listing = ("diff-index", "--cached", "--raw", "-z", "--no-renames", compare_with)
        show = self._git(work_tree, *(listing if compare_with else ("ls-files", "--stage", "-z")))
        while True:
            excluded = [f":(exclude,top,literal){path}" for path in sorted(without_commit)]
            may_fail = ["--ignore-errors"] if self.despite_faults else []
            add = self._git(work_tree, "add", "--all", *may_fail, "--", ".", *excluded)
            script = [
                f"rm -f {shlex.quote(f'{index}.lock')}",  # the process that created the lock has ended
                # git cannot tell by its timestamp whether a file changed in the second in which the index was written:
                # git add would write every such file again. Refreshing the index compares the contents.
                f"{self._git(work_tree, 'update-index', '-q', '--refresh')} 2>/dev/null || :",
                f"{add} || :" if self.despite_faults else add,
                show,
                _END_SECTION,
                *(self._commit_commands(work_tree) if compare_with else ()),
            ]
            result = self._run(script, index)
            match = _NO_COMMIT.search(result.stderr)
            if match is None or match[1] in without_commit or len(without_commit) >= _MAX_NESTED:
                break
            without_commit.add(match[1])
        self._check(result)
        entries, _, tree = result.stdout.partition(SECTION_END)
        parse = parse_raw_diff if compare_with else parse_stage
        return parse(entries), without_commit, tree.decode().strip("\0\n")

    def _include_nested(
        self, prefix: str, work_tree: Path, entries: Mapping[str, Entry], without_commit: Iterable[str]
    ) -> list[str]:
        """Return git commands that replace the link to each nested repository in an index with the repository's files.

        Links to submodules stay. The paths of nested repositories are added to `self.nested`. The paths of submodules,
        with their trees, are added to `self.submodules`.

        Args:
            prefix: The text to put before each path in `self.nested` and `self.submodules`.
            work_tree: The directory whose files are in the index.
            entries: The entries of the index.
            without_commit: Paths of repositories that git could not add to the index, because they have no commit.
        """
        links = {path for path, entry in entries.items() if entry.mode == SUBMODULE}
        submodules = self._registered_submodules(work_tree) if links else set[str]()
        edits = []
        for path in sorted(links | set(without_commit)):
            tree = self.tree_of_directory(work_tree / path)
            if path in links & submodules:
                self.submodules[f"{prefix}{path}"] = tree
                continue
            self.nested.append(f"{prefix}{path}")
            edits.append(self._git(work_tree, "update-index", "--force-remove", "--", path))
            if tree != _EMPTY_TREE:
                edits.append(self._git(work_tree, "read-tree", f"--prefix={path}/", tree))
        return edits

    def _registered_submodules(self, work_tree: Path) -> set[str]:
        """Return the paths of the submodules in the work tree's .gitmodules; empty if git cannot read .gitmodules."""
        show = ["config", "-z", "--file", str(work_tree / ".gitmodules"), "--get-regexp", r"^submodule\..*\.path$"]
        result = self._run([self._git(work_tree, *show)], self.repository / "index")
        return {row.partition("\n")[2] for row in result.text.split("\0") if row} if result.status == 0 else set()

    def _is_left_out(self, path: str) -> bool:
        """Whether the path matches a pattern of `leave_out`. As in .gitignore, a pattern applies in every directory."""
        return any(fnmatchcase(f"/{path}", f"*/{pattern}") for pattern in self.leave_out)

    def _untouched(self, changes: Mapping[str, Entry]) -> dict[str, Entry]:
        """Return the base's entries of files that git reports as changed although the agent did not change them.

        These are files that git would now store differently, and files that a sparse checkout removed only from the
        disk.
        """
        normalized = normalized_entries(self.workspace)
        untouched = {path for path, entry in changes.items() if normalized.get(path) == entry}
        if deleted := {path for path, entry in changes.items() if entry.mode == _NO_MODE}:
            untouched |= deleted & self._sparse_paths()
        return base_entries(self.workspace, self.base, untouched) if untouched else {}

    def _committed_modes(self, changes: Mapping[str, Entry]) -> dict[str, Entry]:
        """Return executable entries for files that are executable in the agent's own commit, but not on the disk.

        The agent can commit such a file after `git update-index --chmod=+x`.
        """
        plain = {path: entry for path, entry in changes.items() if entry.mode == _PLAIN_FILE}
        if not plain or self.beside_agent:
            return {}
        show = shlex.join([*work_tree_command(self.workspace), "ls-tree", "-r", "-z", "HEAD"])
        result = self._run([show], self.repository / "index")
        rows = (row.partition("\t") for row in result.text.split("\0") if row) if result.status == 0 else ()
        committed = {path: header.split(" ") for header, _, path in rows}
        return {
            path: Entry(_PROGRAM, entry.blob)
            for path, entry in plain.items()
            if path in committed and committed[path][::2] == [_PROGRAM, entry.blob]
        }

    def _correct(self, entries: Mapping[str, Entry]) -> None:
        if not entries:
            return
        with TemporaryFile() as rows:
            for path, entry in entries.items():
                rows.write(f"{entry.mode} {entry.blob}\t{path}\0".encode("utf-8", "surrogateescape"))
            rows.seek(0)
            update = self._git(self.workspace.work_tree, "update-index", "-z", "--index-info")
            self._check(self._run([update], self.repository / "index", stdin=rows))

    def _sparse_paths(self) -> set[str]:
        """Return the paths that a sparse checkout leaves out, according to the index in the agent's repository."""
        show = shlex.join([*work_tree_command(self.workspace), "ls-files", "-v", "-z"])
        result = self._run([show], self.workspace.work_tree / ".git" / "index")
        rows = result.text.split("\0") if result.status == 0 else []
        return {row[2:] for row in rows if row.startswith("S ")}

    def _commit_commands(self, work_tree: Path, tree: str = "") -> tuple[str, ...]:
        """Return commands that commit a tree, or the index, point the ref to the commit, and print the tree's id."""
        identity = ("-c", "user.name=agent", "-c", "user.email=agent@localhost")
        commit = self._git(work_tree, *identity, "commit-tree", "-p", self.base, "-m", self.ref.rpartition("/")[2])
        return (
            f"tree={tree}" if tree else f"tree=$({self._git(work_tree, 'write-tree')})",
            f'commit=$({commit} "$tree")',
            f'{self._git(work_tree, "update-ref", self.ref)} "$commit"',
            'echo "$tree"',
        )

    def _git(self, work_tree: Path, *arguments: str) -> str:
        return shlex.join([*work_tree_command(self.workspace, self.repository, work_tree), *arguments])

    def _run(self, script: Sequence[str], index: Path, stdin: IO[bytes] | None = None) -> CommandResult:
        variables = {**isolated_environment(self.workspace.agent_variables), **self.environment}
        return commands.run(
            self.workspace,
            ["sh", "-c", "\n".join(["set -e", *script])],
            environment={**variables, "GIT_INDEX_FILE": str(index)},
            stdin=stdin,
            beside_agent=self.beside_agent,
        )

    def _check(self, result: CommandResult) -> CommandResult:
        # On a full disk git leaves the index unchanged, and the commit would look as if nothing had changed.
        if self.beside_agent and (error := disk_full_error(result.stderr)):
            raise error
        return check_git(result)
