"""A webhook on loopback that records what is posted to it."""

import json
import time
from typing import Any

from deployments.local.loopback import Exchange, LoopbackServer, ReceivedRequest


class Receiver(LoopbackServer):
    """Accepts any request."""

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:  # noqa: ARG002 (the base class records the request)
        exchange.reply(200, b"{}")

    def wait_for(self, event: str, flow_run_id: str, seconds: float = 30) -> dict[str, Any]:
        """Wait for an event of a run; return what was posted about it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for request in self.requests:
                notification: dict[str, Any] = json.loads(request.body)
                if notification["event"] == event and notification["resource"]["prefect.resource.id"].endswith(
                    flow_run_id
                ):
                    return notification
            time.sleep(0.1)
        raise AssertionError([request.body for request in self.requests])
