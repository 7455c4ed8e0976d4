"""The directories of a run: removed at its end, even after an interrupt, and closed to other users."""

import os
import subprocess
from pathlib import Path

import pytest

from flows.sandbox.workspace import Workspace, workspace


def record_and_interrupt(roots: list[Path], directories: Workspace) -> None:
    roots.append(directories.root)
    raise KeyboardInterrupt


def test_a_run_that_is_interrupted_leaves_no_directory() -> None:
    roots: list[Path] = []
    with pytest.raises(KeyboardInterrupt), workspace() as directories:
        record_and_interrupt(roots, directories)
    assert not roots[0].exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="without root the agent's files are this user's own: run as root")
def test_a_run_removes_its_agents_files_from_shared_directories() -> None:
    with workspace() as directories:
        folder = f"/tmp/left-by-{directories.agent.uid}"  # noqa: S108 (the shared directory under test)
        shared = Path(f"/dev/shm/left-{directories.agent.uid}")  # noqa: S108
        script = f"mkdir -p {folder}/a; echo x > {folder}/a/f; chmod 0 {folder}/a; echo x > {shared}"
        subprocess.run(directories.agent.argv(["sh", "-c", script]), check=True)
        assert Path(folder).exists()
        assert shared.exists()
    assert not Path(folder).exists()
    assert not shared.exists()


def test_the_trusted_directory_is_closed_to_other_users() -> None:
    with workspace() as directories:
        assert directories.trusted.stat().st_mode & 0o777 == 0o700
        assert directories.root.stat().st_mode & 0o777 == 0o711
