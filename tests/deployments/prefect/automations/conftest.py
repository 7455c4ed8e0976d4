"""The command `automations`, and a webhook on loopback."""

from collections.abc import Iterator

import pytest

from deployments.local.stack import LocalStack
from tests.support.commands import Give, set_up_command
from tests.support.receiver import Receiver


@pytest.fixture(scope="session")
def give(stack: LocalStack) -> Give:
    """Call the command in this process; return what it prints."""
    return set_up_command(stack, "automations")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server
