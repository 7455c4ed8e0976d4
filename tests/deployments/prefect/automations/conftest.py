"""Fixtures for tests of the command `automations`, and a webhook on the loopback interface."""

from collections.abc import Iterator

import pytest

from deployments.local.stack import LocalStack
from tests.support.commands import SetUpCommand, set_up_command
from tests.support.receiver import Receiver


@pytest.fixture(scope="session")
def run_command(stack: LocalStack) -> SetUpCommand:
    """A function that runs the command in this process, and returns its output."""
    return set_up_command(stack, "automations")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server
