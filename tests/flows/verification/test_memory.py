"""The kernel's count of processes that were killed for lack of memory, from files as the kernel writes them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.verification.memory import killed_processes


def count(folder: Path, files: dict[str, str]) -> int | None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return killed_processes(folder / "groups", folder / "own", folder / "vmstat")


def test_the_own_groups_count_comes_first(tmp_path: Path) -> None:
    files = {"own": "0::/a/b\n", "groups/a/b/memory.events": "low 0\noom 3\noom_kill 2\n", "vmstat": "oom_kill 9\n"}
    assert count(tmp_path, files) == 2


def test_version_1_and_the_view_from_a_container(tmp_path: Path) -> None:
    files = {"own": "5:memory:/c\n0::/\n", "groups/memory/c/memory.oom_control": "under_oom 0\noom_kill 4\n"}
    assert count(tmp_path / "1", files) == 4
    container = {"own": "5:cpu,memory:/docker/x\n", "groups/memory/memory.oom_control": "oom_kill 1\n"}
    assert count(tmp_path / "2", container) == 1


def test_the_machines_count_is_the_last_resort(tmp_path: Path) -> None:
    assert count(tmp_path / "1", {"own": "0::/\n", "vmstat": "pgfault 1\noom_kill 7\n"}) == 7
    assert count(tmp_path / "2", {"vmstat": "pgfault 1\n"}) is None
    assert killed_processes() is None or killed_processes() >= 0  # type: ignore[operator]


PROGRAM = """
import os, subprocess, sys
from pathlib import Path
from flows.verification.memory import killed_processes
(Path(sys.argv[1]) / "cgroup.procs").write_text(str(os.getpid()))
before = killed_processes()
shell = ["choom", "-n", "500", "--", "bash", "-ec", f"{sys.executable} -c 'bytearray(400_000_000)'; true"]
print(subprocess.run(shell, stderr=subprocess.DEVNULL).returncode, killed_processes() - before)
"""


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group whose processes may have 120 MB together."""
    top = Path("/sys/fs/cgroup")
    is_first_version = (top / "memory").is_dir()
    group = (top / "memory" if is_first_version else top) / f"test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("this machine has no control groups to create")
    try:
        limit = group / ("memory.limit_in_bytes" if is_first_version else "memory.max")
        if not limit.exists():
            pytest.skip("the control groups of this machine have no limit of memory")
        limit.write_text("120M")
        yield group
    finally:
        group.rmdir()


def test_the_kernel_counts_a_command_that_takes_too_much_memory(small_group: Path) -> None:
    line = [sys.executable, "-c", PROGRAM, str(small_group)]
    result = subprocess.run(line, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert result.stdout == "137 1\n"
