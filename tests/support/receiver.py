"""A webhook on loopback that records what is posted to it."""

import json
import time
from typing import Any

from deployments.local.loopback import Asked, Exchange, LoopbackServer


class Receiver(LoopbackServer):
    """Accepts any request."""

    def answer(self, asked: Asked, exchange: Exchange) -> None:  # noqa: ARG002 (the server records the request)
        exchange.reply(200, b"{}")

    def wait_for(self, event: str, flow_run_id: str, seconds: float = 30) -> dict[str, Any]:
        """Return what was posted about an event of a run."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for request in self.asked:
                posted: dict[str, Any] = json.loads(request.body)
                if posted["event"] == event and posted["resource"]["prefect.resource.id"].endswith(flow_run_id):
                    return posted
            time.sleep(0.1)
        raise AssertionError([request.body for request in self.asked])
