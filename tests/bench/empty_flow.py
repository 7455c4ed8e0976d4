"""A flow of five tasks that do nothing: it measures the cost of Prefect itself."""

from prefect import flow, task


@task
def nothing(number: int) -> int:
    """Return the argument."""
    return number


@flow
def empty() -> int:
    """Run five tasks in sequence."""
    return sum(nothing(number) for number in range(5))
