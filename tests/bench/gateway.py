"""What the model gateway adds to the time to the first byte and of a long reply, beside requests without it."""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import boto3
import httpx
from pydantic import SecretStr

from deployments.local.loopback import Asked, Exchange, LoopbackServer
from deployments.local.scripted_model import _frame
from flows.claude.command import GATEWAY_TOKEN_HEADER
from flows.claude.gateway import gateway
from flows.claude.meter import Meter
from flows.claude.prices import ModelPrice
from flows.claude.providers import Anthropic, Bedrock, ModelProvider
from flows.parameters import DEFAULT_MODEL_IDS, Provider

ROUNDS = 100
EVENT = '{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "%s"}}'
REPLY_BYTES = 10 * 2**20
BODY = {
    "model": DEFAULT_MODEL_IDS["anthropic"],
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "x" * 10**5}],
}


class Model(LoopbackServer):
    """Answers at once: with one event, or, where the path says so, with ten megabytes of them."""

    def __init__(self) -> None:
        super().__init__()
        text = EVENT % ("words " * 30)
        events = {"sse": f"event: content_block_delta\ndata: {text}\n\n".encode(), "aws": _frame(text)}
        self.replies = {form: (event, event * (REPLY_BYTES // len(event))) for form, event in events.items()}

    def answer(self, asked: Asked, exchange: Exchange) -> None:
        """Send the reply."""
        form = "aws" if asked.path.startswith("/model/") else "sse"
        reply = self.replies[form]["long" in asked.path]
        exchange.send_response(200)
        kind = {"aws": "application/vnd.amazon.eventstream", "sse": "text/event-stream"}[form]
        exchange.send_header("content-type", kind)
        exchange.send_header("transfer-encoding", "chunked")
        exchange.end_headers()
        for at in range(0, len(reply), 2**16):
            exchange.chunk(reply[at : at + 2**16])
        exchange.chunk(b"")


@contextmanager
def sides(model: Model, provider: Provider) -> Iterator[dict[str, Callable[[str], tuple[float, float]]]]:
    """Yield a way to ask directly, and one through the gateway."""
    made: ModelProvider = Anthropic(SecretStr("key"), DEFAULT_MODEL_IDS["anthropic"], model.url)
    path = "/v1/messages"
    if provider == "bedrock":
        os.environ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] = model.url
        session = boto3.Session("AKID", "secret", region_name="us-east-1")
        made = Bedrock(session, "us-east-1", DEFAULT_MODEL_IDS["bedrock"])
        path = f"/model/{DEFAULT_MODEL_IDS['bedrock']}/invoke-with-response-stream"
    meter = Meter(ModelPrice.of(provider, DEFAULT_MODEL_IDS[provider]))
    with gateway(made, meter) as server, httpx.Client(trust_env=False, timeout=60) as client:

        def ask(base: str) -> Callable[[str], tuple[float, float]]:
            def call(query: str) -> tuple[float, float]:
                started = time.perf_counter()
                headers = {GATEWAY_TOKEN_HEADER: server.token}
                with client.stream("POST", f"{base}{path}{query}", json=BODY, headers=headers) as answer:
                    parts = answer.iter_raw()
                    next(parts)
                    first = time.perf_counter() - started
                    for _ in parts:
                        pass
                return first, time.perf_counter() - started

            return call

        yield {"direct": ask(model.url), "gateway": ask(server.url)}


def main() -> None:
    """Print the table."""
    print(f"{'':<10} {'first byte, direct':>20} {'gateway':>10} {'added':>10} {'10 MB, direct':>15} {'gateway':>10}")
    providers: tuple[Provider, ...] = ("anthropic", "bedrock")
    for provider in providers:
        with Model() as model, sides(model, provider) as asks:
            first, long = _pairs(asks, "", ROUNDS, 0), _pairs(asks, "?long", 7, 1)
        added = statistics.median(g - d for d, g in zip(first["direct"], first["gateway"], strict=True))
        cells = [statistics.median(times[side]) for times in (first, long) for side in ("direct", "gateway")]
        print(
            f"{provider:<10} {cells[0] * 1000:>17.2f} ms {cells[1] * 1000:>7.2f} ms {added * 1000:>7.2f} ms "
            f"{cells[2]:>13.3f} s {cells[3]:>8.3f} s"
        )


def _pairs(
    asks: dict[str, Callable[[str], tuple[float, float]]], query: str, rounds: int, which: int
) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {side: [] for side in asks}
    for number in range(rounds + 2):
        for side, ask in asks.items():
            taken = ask(query)[which]
            if number >= 2:  # the first two warm up
                times[side].append(taken)
    return times


if __name__ == "__main__":
    main()
