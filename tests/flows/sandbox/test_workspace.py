"""The directories of a run: gone at its end, however it ends, and ours closed to others."""

import os
import subprocess
from pathlib import Path

import pytest

from flows.sandbox.workspace import Workspace, workspace


def use(kept: list[Path], made: Workspace) -> None:
    kept.append(made.root)
    raise KeyboardInterrupt


def test_a_run_that_is_interrupted_leaves_no_directory() -> None:
    kept: list[Path] = []
    with pytest.raises(KeyboardInterrupt), workspace() as made:
        use(kept, made)
    assert not kept[0].exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="without root the agent's files are this user's own: run as root")
def test_a_run_leaves_nothing_of_its_agent_where_everyone_may_write() -> None:
    with workspace() as made:
        place = f"/tmp/left-by-{made.agent.uid}"  # noqa: S108 (that is the place)
        script = f"mkdir -p {place}/a; echo x > {place}/a/f; chmod 0 {place}/a; echo x > /dev/shm/left-{made.agent.uid}"
        subprocess.run(made.agent.argv(["sh", "-c", script]), check=True)
        shared = Path(f"/dev/shm/left-{made.agent.uid}")  # noqa: S108
        assert Path(place).exists()
        assert shared.exists()
    assert not Path(place).exists()
    assert not shared.exists()


def test_ours_is_closed_to_others() -> None:
    with workspace() as made:
        assert made.trusted.stat().st_mode & 0o777 == 0o700
        assert made.root.stat().st_mode & 0o777 == 0o711
