"""Finds new files that are not part of the change: files that .gitignore excludes, and folders such as node_modules."""

import shlex
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from flows.repository.agent_git import run_as_agent, work_tree_command
from flows.repository.collection import BUILD_FOLDERS, SECTION_END
from flows.repository.left_aside import REF_PREFIX, LeftAside
from flows.repository.setup_files import SetupFiles
from flows.sandbox.workspace import Workspace

_MAX_FILES: Final = 200
_MAX_BYTES: Final = 20 * 2**20
_CACHE_SUFFIXES: Final = (".pyc", ".pyo", ".DS_Store")
_REF: Final = f"{REF_PREFIX}ignored"
_END_SECTION: Final = r"printf '\000\000\000'"


@dataclass(frozen=True)
class ExcludedFiles:
    """The new files in the work tree that are not part of the change."""

    ignored: tuple[LeftAside, ...] = ()
    """One item for all new files that .gitignore excludes, except caches of tools; empty if there are no such files."""
    build_folders: tuple[str, ...] = ()
    """Folders such as node_modules that tools fill and that .gitignore does not exclude, except those of the setup."""


def find_excluded_files(workspace: Workspace, repository: Path, base: str) -> ExcludedFiles:
    """Find the new files that are not part of the change, and save those that .gitignore excludes.

    The files that .gitignore excludes are committed under a ref in `repository` if there are at most 200, of together
    at most 20 MiB. Otherwise none of them is saved. All these files are new, because a fresh checkout has none. Files
    that the setup command made are not among them, unless they were changed since.
    """
    setup = SetupFiles.load(workspace)
    ignored, build_folders = _excluded(workspace, repository)
    entries_of_interest = sorted(
        path
        for path in ignored
        if not _is_cache(workspace.work_tree, path)
        and (path.endswith("/") or not setup.has_made(workspace.work_tree / path))
    )
    return ExcludedFiles(
        ignored=_save(workspace, repository, base, entries_of_interest) if entries_of_interest else (),
        build_folders=tuple(sorted(build_folders - ignored - set(setup.build_folders))),
    )


def find_build_folders(workspace: Workspace, repository: Path) -> tuple[str, ...]:
    """Return the folders, such as node_modules, that tools fill and that .gitignore does not exclude."""
    ignored, build_folders = _excluded(workspace, repository)
    return tuple(sorted(build_folders - ignored))


def _excluded(workspace: Workspace, repository: Path) -> tuple[set[str], set[str]]:
    """Return the paths that .gitignore excludes, and those that no change of any repository has."""
    git = work_tree_command(workspace, repository)
    listing = [*git, "ls-files", "--others", "--ignored", "--directory", "-z"]
    by_repository = shlex.join([*listing, "--exclude-per-directory=.gitignore"])
    by_us = shlex.join([*listing, f"--exclude-from={repository / 'info' / 'exclude'}"])
    output = run_as_agent(workspace, ["sh", "-c", f"{by_repository}\n{_END_SECTION}\n{by_us}"]).stdout
    first, _, second = output.partition(SECTION_END)
    return _paths(first), _paths(second)


def _paths(output: bytes) -> set[str]:
    return {path for path in output.decode("utf-8", "surrogateescape").split("\0") if path}


def _is_cache(work_tree: Path, path: str) -> bool:
    parts = PurePosixPath(path).parts
    return (
        path.endswith(_CACHE_SUFFIXES)
        or any(part in BUILD_FOLDERS for part in parts)
        or (work_tree / path / "CACHEDIR.TAG").exists()
    )


def _save(workspace: Workspace, repository: Path, base: str, entries: list[str]) -> tuple[LeftAside, ...]:
    """Commit the ignored files if they are few and small. Return one item with at most 200 paths, or no item."""
    git = work_tree_command(workspace, repository)
    listing = [*git, "ls-files", "--others", "--ignored", "--exclude-per-directory=.gitignore", "-z", "--"]
    literal = [f":(top,literal){entry.rstrip('/')}" for entry in entries[:_MAX_FILES]]
    files = sorted(_paths(run_as_agent(workspace, [*listing, *literal]).stdout))
    setup = SetupFiles.load(workspace)
    files = [
        path
        for path in files
        if not _is_cache(workspace.work_tree, path) and not setup.has_made(workspace.work_tree / path)
    ]
    place = "files that the repository ignores"
    size = sum(_size(workspace.work_tree / path) for path in files[: _MAX_FILES + 1])
    if not files:
        return ()
    if len(files) > _MAX_FILES or size > _MAX_BYTES:
        return (LeftAside(place, is_ignored=True, paths=tuple(files[:_MAX_FILES])),)
    index = repository / "ignored.index"
    add = shlex.join([*git, "update-index", "--add", "--", *files])
    identity = shlex.join([*git, "-c", "user.name=agent", "-c", "user.email=a@b"])
    plain = shlex.join(git)
    script = (
        f"set -e\n{plain} read-tree {base}\n{add}\n"
        f"commit=$({identity} commit-tree $({plain} write-tree) -p {base} -m 'Left aside: {place}')\n"
        f"{plain} update-ref {_REF} $commit"
    )
    run_as_agent(workspace, ["sh", "-c", script], environment={"GIT_INDEX_FILE": str(index)})
    return (LeftAside(place, _REF, is_ignored=True, paths=tuple(files)),)


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
