"""AWS (moto) behind a server that keeps what ECS was asked: DescribeTasks returns less than RunTask received."""

import json
from dataclasses import dataclass
from typing import Any, Final

import httpx

from deployments.local.loopback import Asked, Exchange, LoopbackServer

_LONGEST_POLL_SECONDS: Final = 30
_OF_THE_CONNECTION: Final = {"connection", "content-length", "transfer-encoding", "content-encoding", "host"}


@dataclass(frozen=True)
class Call:
    """One call of ECS, and its answer."""

    operation: str
    request: dict[str, Any]
    response: dict[str, Any]


class RecordedAws(LoopbackServer):
    """Passes every request on, and its answer back."""

    def __init__(self, aws_url: str) -> None:
        super().__init__()
        self._aws = httpx.Client(base_url=aws_url, timeout=_LONGEST_POLL_SECONDS, trust_env=False)
        self.calls: list[Call] = []

    def answer(self, asked: Asked, exchange: Exchange) -> None:
        """Ask AWS the same."""
        headers = {name: value for name, value in asked.headers.items() if name not in _OF_THE_CONNECTION}
        answer = self._aws.request(asked.method, asked.path, headers=headers, content=asked.body)
        service, _, operation = asked.headers.get("x-amz-target", "").partition(".")
        if service.startswith("AmazonEC2ContainerService"):
            self.calls.append(Call(operation, json.loads(asked.body), answer.json()))
        returned = {name: value for name, value in answer.headers.items() if name not in _OF_THE_CONNECTION}
        exchange.reply(answer.status_code, answer.content, returned)

    def received(self, operation: str) -> list[Call]:
        """Return the calls of one operation, in order."""
        return [call for call in self.calls if call.operation == operation]
