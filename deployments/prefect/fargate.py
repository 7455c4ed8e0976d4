"""The sizes that a task on Fargate can have: CPU, memory and ephemeral storage.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
"""

from collections.abc import Mapping
from typing import Any, Final

from deployments.cli.errors import InvalidParameter

_GIB: Final = 1024
MEMORY_MIB: Final = {
    256: (512, 1 * _GIB, 2 * _GIB),
    512: tuple(range(1 * _GIB, 5 * _GIB, _GIB)),
    1024: tuple(range(2 * _GIB, 9 * _GIB, _GIB)),
    2048: tuple(range(4 * _GIB, 17 * _GIB, _GIB)),
    4096: tuple(range(8 * _GIB, 31 * _GIB, _GIB)),
    8192: tuple(range(16 * _GIB, 61 * _GIB, 4 * _GIB)),
    16384: tuple(range(32 * _GIB, 121 * _GIB, 8 * _GIB)),
}
"""The possible memory in MiB, by the CPU units; 1024 units are one virtual CPU."""

STORAGE_GIB: Final = (21, 200)
"""The smallest and the largest ephemeral storage that a task can ask for. Without asking it has 20 GiB."""


def check_task_size(variables: Mapping[str, Any]) -> None:
    """Raise `InvalidParameter` if Fargate has no tasks of the size in the job variables of a run."""
    cpu, memory, storage = (variables.get(name) for name in ("cpu", "memory", "ephemeral_storage"))
    if cpu not in MEMORY_MIB:
        raise InvalidParameter(f"cpu={cpu} is not a size of Fargate: use one of {', '.join(map(str, MEMORY_MIB))}")
    if memory not in MEMORY_MIB[cpu]:
        sizes = ", ".join(map(str, MEMORY_MIB[cpu]))
        raise InvalidParameter(f"with cpu={cpu}, Fargate has no memory={memory}: use one of {sizes}")
    smallest, largest = STORAGE_GIB
    if "ephemeral_storage" not in variables:  # the pool was made before pools had this variable
        return
    if type(storage) is not int or not smallest <= storage <= largest:
        raise InvalidParameter(f"ephemeral_storage={storage} is not a size of Fargate: use {smallest} to {largest} GiB")
