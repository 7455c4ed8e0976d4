"""The automations, installed while a test runs."""

from collections.abc import Iterator

import pytest

from deployments.local.stack import LocalStack
from tests.support.commands import set_up_command
from tests.support.receiver import Receiver


@pytest.fixture
def webhook(stack: LocalStack) -> Iterator[Receiver]:
    """Install the automations; yield the webhook that they notify."""
    command = set_up_command(stack, "automations")
    with Receiver() as receiver:
        command("--webhook", "-", "--silence-seconds", "35", "--max-runs", "3", stdin=f"{receiver.url}/notifications\n")
        yield receiver
        command("--remove")
