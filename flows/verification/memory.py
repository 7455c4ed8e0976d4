"""Reads how many processes the kernel has killed because memory ran out (proc_vmstat(5), cgroups(7))."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_GROUPS: Final = Path("/sys/fs/cgroup")
_OWN_GROUP: Final = Path("/proc/self/cgroup")
_MACHINE: Final = Path("/proc/vmstat")
_COUNTER: Final = "oom_kill"


def killed_processes(groups: Path = _GROUPS, own_group: Path = _OWN_GROUP, machine: Path = _MACHINE) -> int | None:
    """Return the kernel's count of processes killed for lack of memory: in this container, or else on this machine.

    Only a later, higher count means something. None means that the kernel does not say.
    """
    for file in (*_files(groups, own_group), machine):
        with suppress(OSError, ValueError):
            rows = (row.split() for row in file.read_text().splitlines())
            counts = [int(row[1]) for row in rows if row[:1] == [_COUNTER]]
            if counts:
                return counts[0]
    return None


def _files(groups: Path, own_group: Path) -> Iterable[Path]:
    """Return where a control group has its count: version 2 first, then version 1."""
    with suppress(OSError):
        for row in own_group.read_text().splitlines():
            _, controllers, path = row.split(":", 2)
            if not controllers:
                yield groups / path.lstrip("/") / "memory.events"
            elif "memory" in controllers.split(","):
                yield groups / "memory" / path.lstrip("/") / "memory.oom_control"
    # In a container, the path may be that of the machine.
    yield groups / "memory.events"
    yield groups / "memory" / "memory.oom_control"
