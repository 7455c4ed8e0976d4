"""The sizes of tasks on Fargate: what this project's commands and the Prefect server accept."""

import pytest

from deployments.cli.errors import InvalidParameter
from deployments.prefect.fargate import MEMORY_MIB, check_task_size

SIZES = [(cpu, memory) for cpu, sizes in MEMORY_MIB.items() for memory in (sizes[0], sizes[-1])]


@pytest.mark.parametrize(("cpu", "memory"), SIZES)
def test_the_smallest_and_the_largest_memory_of_each_cpu_is_accepted(cpu: int, memory: int) -> None:
    check_task_size({"cpu": cpu, "memory": memory, "ephemeral_storage": 21})
    check_task_size({"cpu": cpu, "memory": memory, "ephemeral_storage": 200})
    for wrong in (memory - 1, memory + 1, 0, 2**20):
        with pytest.raises(InvalidParameter, match=f"with cpu={cpu}, Fargate has no memory={wrong}"):
            check_task_size({"cpu": cpu, "memory": wrong, "ephemeral_storage": 21})


@pytest.mark.parametrize("cpu", [0, 2, 1000, 32768, "2048", None])
def test_another_cpu_is_refused(cpu: object) -> None:
    with pytest.raises(InvalidParameter, match="is not a size of Fargate: use one of 256, 512, 1024, 2048"):
        check_task_size({"cpu": cpu, "memory": 8192, "ephemeral_storage": 30})


def test_a_pool_without_a_variable_for_the_storage_is_accepted() -> None:
    check_task_size({"cpu": 2048, "memory": 8192})


@pytest.mark.parametrize("storage", [0, 20, 201, "30", 30.5, None, True])
def test_another_storage_is_refused(storage: object) -> None:
    with pytest.raises(InvalidParameter, match="is not a size of Fargate: use 21 to 200 GiB"):
        check_task_size({"cpu": 2048, "memory": 8192, "ephemeral_storage": storage})
