"""Removes the System V shared memory, semaphores and message queues of a user, which outlive processes (sysvipc(7))."""

import ctypes
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

_TABLES: Final = Path("/proc/sysvipc")
_IPC_RMID: Final = 0
_CALLS: Final[Mapping[str, tuple[str, Callable[[ctypes.CDLL, int], object]]]] = {
    "shm": ("shmid", lambda libc, number: libc.shmctl(number, _IPC_RMID, None)),
    "sem": ("semid", lambda libc, number: libc.semctl(number, 0, _IPC_RMID)),
    "msg": ("msqid", lambda libc, number: libc.msgctl(number, _IPC_RMID, None)),
}


def remove_ipc(uid: int) -> None:
    """Remove the objects that this user created or owns. The kernel refuses if this process may not do that."""
    libc = ctypes.CDLL(None)
    for table, (column, remove) in _CALLS.items():
        with suppress(OSError):  # a kernel without this kind
            for number in list(_numbers((_TABLES / table).read_text(), column, str(uid))):
                remove(libc, number)


def _numbers(text: str, column: str, uid: str) -> Iterator[int]:
    names, *rows = (line.split() for line in text.splitlines())
    for row in rows:
        values = dict(zip(names, row, strict=False))
        if uid in {values.get("uid"), values.get("cuid")}:
            yield int(values[column])
