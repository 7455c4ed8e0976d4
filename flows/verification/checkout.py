"""Makes a fresh checkout of a commit at the paths of the agent's own directories, which are set aside meanwhile.

Commands that run there see nothing that the agent wrote outside its change: neither in the work tree and its `.git`,
nor in the home directory, the objects of Git LFS or the directories for temporary files. The paths are the same,
because a Python environment, for example, holds its own path.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from flows.errors import SetupFailed
from flows.repository.clone import Checkout
from flows.repository.lfs_objects import renew_objects
from flows.repository.objects import SUBMODULE, changed_files
from flows.repository.setup import SetupCommand
from flows.repository.submodule_checkout import Submodule, saved_submodules
from flows.repository.work_tree import create_work_tree, saved_arguments
from flows.sandbox.run_folder import remove_folder
from flows.sandbox.workspace import Workspace, make_agent_directories
from flows.verification.manifests import needs_setup
from flows.verification.prepared import prepared_exists, restore_prepared

_ASIDE: Final = "set-aside"
_REPLACED: Final = "replaced"
"""The folder, in `_ASIDE`, for the directories of the fresh checkout. It exists once everything else is in `_ASIDE`."""

_STAYING: Final = frozenset({"trusted", "instructions", "config", "services", "bin"})
"""The directories of a run that the agent cannot write to."""

_RECORDS: Final = ("checkout.*", "setup-files.json")
"""The files that say what is in the agent's work tree. A fresh checkout writes its own."""


@contextmanager
def fresh_checkout(
    workspace: Workspace,
    checkout: Checkout,
    commit: str,
    setup: SetupCommand | None,
    run_setup: Callable[[Checkout], object],
) -> Iterator[None]:
    """Have a new work tree with a commit's files, and a new home, at the paths of the agent's own until the end.

    What the setup made is there as `save_prepared` saved it. The setup runs again, without it, if nothing is saved, or
    if the commit changes a manifest, a lock file, or a file that the setup command names. Files of the agent's user in
    directories that all users share, such as /tmp, are removed.

    Args:
        workspace: The run's directories. `clean.git` has the commit. This process has created the agent's work tree.
        checkout: What is checked out in the agent's work tree.
        commit: The commit to check out.
        setup: The setup command; None if the run has none.
        run_setup: Runs the setup command. Its argument says what is checked out.

    Raises:
        SetupFailed: The setup failed, or the commit has a submodule that the run did not fetch.
        GitFailed, CommandFailed, DiskFull: The checkout cannot be made.
    """
    files = changed_files(workspace.clean_git, checkout.base_commit, commit)
    arguments, submodules = saved_arguments(workspace), saved_submodules(workspace)
    submodules = _unchanged(submodules, workspace.clean_git, checkout.base_commit, commit) if submodules else []
    is_restored = prepared_exists(workspace) and not (setup and needs_setup(files, setup.script))
    _end_agent(workspace)
    try:
        _set_aside(workspace)
        make_agent_directories(workspace)
        renew_objects(workspace)
        if is_restored:
            restore_prepared(workspace)
        # Where the commit has a file at the path of a restored one, git writes its own, and follows no link.
        create_work_tree(workspace, base=commit, submodules=submodules, **arguments)
        if setup and not is_restored:
            run_setup(replace(checkout, base_commit=commit))
        yield
    finally:
        _end_agent(workspace)
        _put_back(workspace)


def _end_agent(workspace: Workspace) -> None:
    workspace.agent.end_processes()
    workspace.agent.remove_leftover_files()


def _unchanged(submodules: list[Submodule], git_dir: Path, base: str, commit: str) -> list[Submodule]:
    """Return the submodules that the commit still has.

    Raises:
        SetupFailed: The commit has another submodule, or another commit of one.
    """
    changed = changed_files(git_dir, base, commit)
    links = [file for file in changed if file.mode == SUBMODULE]
    if links:
        raise SetupFailed(
            f"the change adds or moves the submodule {links[0].path!r}, and the run did not fetch the commit "
            f"{links[0].blob[:12]}, so the commands cannot run: have the agent leave the submodule as it is"
        )
    gone = [file.old_path for file in changed if file.old_mode == SUBMODULE]
    return [item for item in submodules if not any(f"{item.path}/".startswith(f"{path}/") for path in gone)]


def _set_aside(workspace: Workspace) -> None:
    """Move everything that the agent can write to, and the records of it, to where the agent's user cannot enter."""
    _put_back(workspace)  # An earlier verification may have been interrupted while it did that.
    for source, folder in _folders(workspace):
        folder.mkdir(mode=0o700, parents=True)
        for entry in _entries(workspace, source):
            _move(workspace, entry, folder / entry.name)
    # Created now, because later the disk may be full.
    (workspace.trusted / _ASIDE / _REPLACED).mkdir(mode=0o700)


def _put_back(workspace: Workspace) -> None:
    """Put back what is set aside, and remove what has taken its place. An interrupted call can be repeated."""
    aside = workspace.trusted / _ASIDE
    replaced = aside / _REPLACED
    if replaced.exists():  # Otherwise nothing has taken its place.
        for target, _ in _folders(workspace):
            for entry in _entries(workspace, target):
                _move(workspace, entry, replaced / entry.name)
        replaced.rename(aside / "to-remove")
    for target, folder in _folders(workspace):
        for entry in list(folder.iterdir()) if folder.exists() else ():
            _move(workspace, entry, target / entry.name)
    remove_folder(aside)


def _folders(workspace: Workspace) -> tuple[tuple[Path, Path], ...]:
    """Return pairs of directories: one whose entries are set aside, and one that has these entries meanwhile."""
    aside = workspace.trusted / _ASIDE
    return (workspace.root, aside / "root"), (workspace.trusted, aside / "trusted")


def _entries(workspace: Workspace, directory: Path) -> list[Path]:
    if directory == workspace.trusted:
        return [file for pattern in _RECORDS for file in directory.glob(pattern)]
    return [entry for entry in directory.iterdir() if entry.name not in _STAYING]


def _move(workspace: Workspace, entry: Path, target: Path) -> None:
    if workspace.agent.uid is None and entry.is_dir() and not entry.is_symlink():
        with suppress(OSError):
            entry.chmod(0o700)  # Without it, no directory can be moved to another one, but by root.
    entry.rename(target)
