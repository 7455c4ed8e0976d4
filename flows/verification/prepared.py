"""Saves what the setup made before the agent starts, so that a fresh checkout gets it as the agent never touched it.

tar runs as the agent's user on both ways. The archive belongs to the flow's process, in a directory that the agent
cannot enter. One archive is written faster than a copy of each file: 0.4 s instead of 2 to 16 s for 21,000 files.
"""

import sys
from pathlib import Path
from typing import Final

from flows.errors import RunError
from flows.repository.agent_git import run_as_agent, work_tree_command
from flows.repository.submodule_checkout import submodule_repositories
from flows.sandbox import archive, commands
from flows.sandbox.archive_entries import InvalidArchive
from flows.sandbox.workspace import Workspace

_FILE: Final = "prepared.tar"
_MAX_BYTES: Final = 32 * 2**30
_TIMEOUT_SECONDS: Final = 3600
_SPARSE: Final = ("--sparse",) if sys.platform == "linux" else ()
"""Leaves the holes of sparse files out, such as those of a disk image. BSD's tar does so without the option."""


def save_prepared(workspace: Workspace) -> str:
    """Save the home directory, and the files of the work tree that no commit has. No process of the agent may be alive.

    Returns:
        Why they are not saved, for people; empty if they are. A fresh checkout then runs the setup again.
    """
    file = _file(workspace)
    partial = file.with_suffix(".partial")
    try:
        names = [*_untracked(workspace), workspace.home.name]
        with partial.open("wb") as target:
            partial.chmod(0o600)
            archive.run_tar(workspace, names, target, max_bytes=_MAX_BYTES, options=_SPARSE)
        partial.replace(file)
    except (RunError, InvalidArchive, OSError) as error:
        return f"what the setup made is not saved, so each verification runs the setup again: {error}"
    finally:
        partial.unlink(missing_ok=True)
    return ""


def prepared_exists(workspace: Workspace) -> bool:
    """Whether `save_prepared` has saved what the setup made, on this machine."""
    return _file(workspace).exists()


def restore_prepared(workspace: Workspace) -> None:
    """Unpack the saved files into the agent's directories, which must be new.

    Raises:
        CommandFailed, DiskFull: tar failed.
    """
    line = ["tar", "-x", "-p", "--no-same-owner", "-f", "-", "-C", str(workspace.work_tree.parent)]
    with _file(workspace).open("rb") as source:
        result = commands.run(workspace, line, stdin=source, timeout_seconds=_TIMEOUT_SECONDS)
    commands.check(result, "unpack what the setup made")


def _file(workspace: Workspace) -> Path:
    return workspace.trusted / _FILE


def _untracked(workspace: Workspace) -> list[str]:
    """Return the names, in the archive, of all files and folders that the repository and its submodules do not have."""
    modules = [(f"{path}/", module) for path, module in submodule_repositories(workspace)]
    names = list[str]()
    for folder, module in [("", workspace.work_tree / ".git"), *modules]:
        git = work_tree_command(workspace, module, workspace.work_tree / folder)
        listing = run_as_agent(workspace, [*git, "ls-files", "--others", "--directory", "-z"]).stdout
        paths = listing.decode("utf-8", "surrogateescape").split("\0")
        names += [f"{workspace.work_tree.name}/{folder}{path}" for path in paths if path]
    return names
