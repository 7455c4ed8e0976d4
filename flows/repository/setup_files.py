"""Separates what the setup command made in the work tree from what the agent made there.

The files that the setup made are recorded with their content. As long as the agent leaves such a file as it is, it is
not part of the change. The commits that the setup made or fetched are recorded as well.
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final, Self

from flows.repository.agent_git import work_tree_command
from flows.repository.collection import Entry, base_entries, parse_raw_diff
from flows.repository.git_commands import check_git, isolated_environment
from flows.sandbox import commands
from flows.sandbox.workspace import Workspace

REMOVED: Final = Entry("0", "0" * 40)
"""In the input of `git update-index`, this entry removes a path."""

_FILE: Final = "setup-files.json"
_INDEX: Final = "setup.index"


@dataclass(frozen=True)
class SetupFiles:
    """What the setup command made. All fields are empty if no setup command ran."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    """The entries, by path, of new files. They differ from the base in the same way as a submodule that was moved."""
    nested: tuple[str, ...] = ()
    """Paths of git repositories inside the work tree."""
    commits: tuple[str, ...] = ()
    """Commits in the agent's repository that are not in the history of the base."""
    submodules: Mapping[str, str] = field(default_factory=dict)
    """By the path of each submodule whose files the setup changed: the id of the tree of its files."""
    build_folders: tuple[str, ...] = ()
    """Folders such as .venv/ that no change has, although .gitignore does not exclude them."""
    ended_ns: int = 0
    """When the setup ended, by the clock of the file system. No user can set a file's time of change back."""

    @classmethod
    def load(cls, workspace: Workspace) -> Self:
        """Return what `save` saved; an empty record if it saved nothing."""
        file = workspace.trusted / _FILE
        if not file.exists():
            return cls()
        saved = json.loads(file.read_text())
        entries = {path: Entry(*entry) for path, entry in saved["entries"].items()}
        nested, commits, folders = (tuple(saved[name]) for name in ("nested", "commits", "build_folders"))
        return cls(entries, nested, commits, saved["submodules"], folders, file.stat().st_mtime_ns)

    def save(self, workspace: Workspace) -> None:
        """Save this record, and the time."""
        entries = {path: (entry.mode, entry.blob) for path, entry in self.entries.items()}
        record = {
            "entries": entries,
            "nested": self.nested,
            "commits": self.commits,
            "submodules": dict(self.submodules),
            "build_folders": self.build_folders,
        }
        (workspace.trusted / _FILE).write_text(json.dumps(record))

    def has_made(self, path: Path) -> bool:
        """Whether the setup made this file, and nobody changed it since."""
        try:
            return path.lstat().st_ctime_ns <= self.ended_ns
        except OSError:
            return False


@dataclass(frozen=True)
class AgentTree:
    """A git tree without the unchanged files of the setup."""

    tree: str
    changed: tuple[str, ...] = ()
    """Paths of files that the setup made and the agent changed. The tree has them."""


def agent_tree(
    workspace: Workspace, repository: Path, base: str, tree: str, *, beside_agent: bool = False
) -> AgentTree:
    """Return a tree without the files that are as the setup made them.

    Args:
        workspace: The run's directories.
        repository: A temporary repository, from `create_repository`, which has the tree.
        base: The commit that the work starts from.
        tree: The id of the tree.
        beside_agent: Whether the agent keeps running.
    """
    entries = SetupFiles.load(workspace).entries
    if not entries:
        return AgentTree(tree)
    git = work_tree_command(workspace, repository)
    environment = {
        **isolated_environment(workspace.agent_variables),
        "GIT_INDEX_FILE": str(repository / _INDEX),
    }
    diff = [*git, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", base, tree]
    result = check_git(commands.run(workspace, diff, environment=environment, beside_agent=beside_agent))
    present = {path: entry for path, entry in parse_raw_diff(result.stdout).items() if path in entries}
    unchanged = {path for path, entry in present.items() if entry == entries[path]}
    changed = tuple(sorted(present.keys() - unchanged))
    if not unchanged:
        return AgentTree(tree, changed)
    corrections = {**dict.fromkeys(unchanged, REMOVED), **base_entries(workspace, base, unchanged)}
    plain = shlex.join(git)
    script = f"set -e\n{plain} read-tree {tree}\n{plain} update-index -z --index-info\n{plain} write-tree"
    with TemporaryFile() as rows:
        for path, entry in corrections.items():
            rows.write(f"{entry.mode} {entry.blob}\t{path}\0".encode("utf-8", "surrogateescape"))
        rows.seek(0)
        line = ["sh", "-c", script]
        result = commands.run(workspace, line, environment=environment, stdin=rows, beside_agent=beside_agent)
    return AgentTree(check_git(result).text, changed)
