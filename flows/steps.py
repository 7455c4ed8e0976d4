"""Where each step says that it begins and that it is done, for whoever shows them; nobody else hears of it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

LOGGER: Final = logging.getLogger("flows.steps")
BEGINS: Final = "begins"
DONE: Final = "is done"


@contextmanager
def announced(name: str) -> Iterator[None]:
    """Say so; a step that fails is not done. The name is the record's `task_name`, as in Prefect's own records."""
    LOGGER.info(BEGINS, extra={"task_name": name})
    yield
    LOGGER.info(DONE, extra={"task_name": name})
