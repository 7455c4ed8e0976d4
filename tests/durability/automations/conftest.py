"""The automations, installed for the duration of a test."""

from collections.abc import Iterator

import pytest

from deployments.local.stack import LocalStack
from tests.support.commands import set_up_command
from tests.support.receiver import Receiver


@pytest.fixture
def installed(stack: LocalStack) -> Iterator[Receiver]:
    """Install the automations; return the webhook that they notify."""
    command = set_up_command(stack, "automations")
    with Receiver() as receiver:
        command("--webhook", "-", "--silence-seconds", "35", "--max-runs", "3", stdin=f"{receiver.url}/told\n")
        yield receiver
        command("--remove")
