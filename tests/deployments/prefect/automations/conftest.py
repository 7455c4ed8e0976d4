"""The command, and who is told: a webhook on loopback."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deployments.local.loopback import Asked, Exchange, LoopbackServer
from deployments.local.stack import LocalStack

Give = Callable[..., str]


class Receiver(LoopbackServer):
    """Takes whatever is posted."""

    def answer(self, asked: Asked, exchange: Exchange) -> None:  # noqa: ARG002 (the record is the server's)
        exchange.reply(200, b"{}")

    def wait_for(self, event: str, flow_run_id: str, seconds: float = 30) -> dict[str, Any]:
        """Return what was posted of an event of a run."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for asked in self.asked:
                told: dict[str, Any] = json.loads(asked.body)
                if told["event"] == event and told["resource"]["prefect.resource.id"].endswith(flow_run_id):
                    return told
            time.sleep(0.1)
        raise AssertionError([asked.body for asked in self.asked])


@pytest.fixture(scope="session")
def give(stack: LocalStack) -> Give:
    """Give the command in this process; return what it says."""
    from typer.testing import CliRunner  # noqa: PLC0415 (Prefect reads its environment when it is imported)

    from deployments.__main__ import app  # noqa: PLC0415

    def call(*arguments: str, status: int = 0, stdin: str = "") -> str:
        assert stack.prefect_api_url
        result = CliRunner().invoke(app, ["automations", *arguments], input=stdin)
        assert result.exit_code == status, result.output + repr(result.exception)
        return str(result.output)

    return call


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


@pytest.fixture
def installed(give: Give, receiver: Receiver) -> Iterator[Receiver]:
    """The automations, for the time of a test."""
    give("--webhook", "-", "--silence-seconds", "35", "--max-runs", "3", stdin=f"{receiver.url}/told\n")
    yield receiver
    give("--remove")
