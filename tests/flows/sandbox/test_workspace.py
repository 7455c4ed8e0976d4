"""The directories of a run: removed at its end, even after an interrupt, and closed to other users."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flows.sandbox.user import MARK
from flows.sandbox.workspace import Workspace, mark_of, workspace
from tests.support.own_disk import own_disk


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


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An own directory for the folders of runs, whose agents are not isolated."""
    monkeypatch.setattr("flows.sandbox.user._reason_for_no_isolation", lambda: "a test")
    with own_disk() as path:
        yield path


@contextmanager
def process_with(mark: str) -> "Iterator[subprocess.Popen[bytes]]":
    with subprocess.Popen(["sleep", "60"], env={**os.environ, MARK: mark}) as process:
        yield process
        process.kill()


def test_without_isolation_the_processes_of_a_killed_run_end_before_the_next_run_begins(disk: Path) -> None:
    folder = disk / "claude-code-headless-1"
    folder.mkdir()
    with process_with(mark_of(folder)) as left, workspace() as directories:
        assert directories.root == folder
        assert left.wait(5) == -signal.SIGKILL


def test_without_isolation_a_run_with_the_same_path_in_another_tmp_keeps_its_processes(disk: Path) -> None:
    with workspace() as first, process_with(first.agent.mark) as process:
        elsewhere = first.root.rename(disk / "elsewhere")
        with workspace() as second:
            assert second.root == first.root
            second.agent.end_processes()
        assert process.poll() is None
        elsewhere.rename(first.root)


def test_the_trusted_directory_is_closed_to_other_users() -> None:
    with workspace() as directories:
        assert directories.trusted.stat().st_mode & 0o777 == 0o700
        assert directories.root.stat().st_mode & 0o777 == 0o711
