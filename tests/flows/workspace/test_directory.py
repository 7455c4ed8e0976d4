"""The directories of a run: gone at its end, however it ends, and ours closed to others."""

from pathlib import Path

import pytest

from flows.workspace.directory import Workspace, workspace


def use(kept: list[Path], made: Workspace) -> None:
    kept.append(made.root)
    raise KeyboardInterrupt


def test_a_run_that_is_interrupted_leaves_no_directory() -> None:
    kept: list[Path] = []
    with pytest.raises(KeyboardInterrupt), workspace() as made:
        use(kept, made)
    assert not kept[0].exists()


def test_ours_is_closed_to_others() -> None:
    with workspace() as made:
        assert made.trusted.stat().st_mode & 0o777 == 0o700
        assert made.root.stat().st_mode & 0o777 == 0o711
