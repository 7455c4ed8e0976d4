"""A flow of five tasks that do nothing: what Prefect itself costs."""

from prefect import flow, task


@task
def nothing(number: int) -> int:
    """Return what is given."""
    return number


@flow
def empty() -> int:
    """Run five tasks, one after the other."""
    return sum(nothing(number) for number in range(5))
