"""AWS (moto) behind a server that records the calls of ECS, since DescribeTasks returns less than RunTask received."""

import json
from dataclasses import dataclass
from typing import Any, Final

import httpx

from deployments.local.loopback import Exchange, LoopbackServer, ReceivedRequest

_LONGEST_POLL_SECONDS: Final = 30
_CONNECTION_HEADERS: Final = {"connection", "content-length", "transfer-encoding", "content-encoding", "host"}


@dataclass(frozen=True)
class Call:
    """One call of ECS and its response."""

    operation: str
    request: dict[str, Any]
    response: dict[str, Any]


class RecordedAws(LoopbackServer):
    """Passes on every request to AWS and every response to the client."""

    def __init__(self, aws_url: str) -> None:
        super().__init__()
        self._aws = httpx.Client(base_url=aws_url, timeout=_LONGEST_POLL_SECONDS, trust_env=False)
        self.calls: list[Call] = []

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        """Send the same request to AWS; record it if it is a call of ECS."""
        headers = {name: value for name, value in request.headers.items() if name not in _CONNECTION_HEADERS}
        response = self._aws.request(request.method, request.path, headers=headers, content=request.body)
        service, _, operation = request.headers.get("x-amz-target", "").partition(".")
        if service.startswith("AmazonEC2ContainerService"):
            self.calls.append(Call(operation, json.loads(request.body), response.json()))
        response_headers = {name: value for name, value in response.headers.items() if name not in _CONNECTION_HEADERS}
        exchange.reply(response.status_code, response.content, response_headers)

    def received(self, operation: str) -> list[Call]:
        """Return the calls of one operation, in order."""
        return [call for call in self.calls if call.operation == operation]
