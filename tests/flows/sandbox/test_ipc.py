"""System V objects that outlive the processes of a user: those of the agent are removed, and those of others stay."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.sandbox.user import AgentUser, agent_user
from tests.flows.sandbox.test_user import as_root

CREATE = """
import ctypes
libc = ctypes.CDLL(None)
numbers = libc.shmget(0, 4096, 0o1666), libc.semget(0, 1, 0o1666), libc.msgget(0, 0o1666)
assert min(numbers) >= 0
"""
TABLES = ("shm", "sem", "msg")


@pytest.fixture
def isolated(tmp_path: Path) -> Iterator[AgentUser]:
    with agent_user(str(tmp_path)) as user:
        yield user
        user.end_processes()
        user.remove_leftover_files()


def counts(uid: int) -> list[int]:
    """Return how many objects of each kind the user has."""
    rows = [(Path("/proc/sysvipc") / name).read_text().splitlines()[1:] for name in TABLES]
    return [sum(str(uid) in row.split() for row in each) for each in rows]


@as_root
def test_objects_of_the_agent_are_removed(isolated: AgentUser) -> None:
    assert isolated.uid is not None
    subprocess.run(isolated.argv([sys.base_prefix + "/bin/python3", "-c", CREATE]), check=True, cwd="/")
    assert counts(isolated.uid) == [1, 1, 1]
    AgentUser(isolated.uid + 1, "").remove_leftover_files()
    assert counts(isolated.uid) == [1, 1, 1]
    isolated.remove_leftover_files()
    assert counts(isolated.uid) == [0, 0, 0]
