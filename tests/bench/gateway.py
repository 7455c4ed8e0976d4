"""What the model gateway adds to the time to the first byte and to a long reply, compared with direct requests."""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import boto3
import httpx
from pydantic import SecretStr

from deployments.local.aws_event_stream import event_frame
from deployments.local.loopback import Exchange, LoopbackServer, ReceivedRequest
from flows.model.gateway import gateway
from flows.model.gateway_token import GATEWAY_TOKEN_HEADER
from flows.model.meter import Meter
from flows.model.prices import ModelPrice
from flows.model.providers import Anthropic, Bedrock, ModelProvider
from flows.parameters.provider import DEFAULT_MODEL_IDS, Provider
from tests.bench.measures import Measure, medians, ratio

ROUNDS = 100
EVENT = '{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "%s"}}'
REPLY_BYTES = 10 * 2**20
CHUNK_BYTES = 2**16
PACED_EVENTS = 200
FAR_BYTES_A_SECOND = 12_500_000
GOAL_MS = 5
GOAL_RATE = 0.8
BODY = {
    "model": DEFAULT_MODEL_IDS["anthropic"],
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "x" * 10**5}],
}


class Model(LoopbackServer):
    """Answers at once with one event or, if the path says so, with ten megabytes of events."""

    def __init__(self) -> None:
        super().__init__()
        text = EVENT % ("words " * 30)
        events = {"sse": f"event: content_block_delta\ndata: {text}\n\n".encode(), "aws": event_frame(text)}
        self.replies = {form: (event, event * (REPLY_BYTES // len(event))) for form, event in events.items()}

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        """Send the reply."""
        form = "aws" if request.path.startswith("/model/") else "sse"
        reply = self.replies[form]["long" in request.path]
        if "paced" in request.path:
            reply *= PACED_EVENTS
        is_far = "far" in request.path
        exchange.send_response(200)
        kind = {"aws": "application/vnd.amazon.eventstream", "sse": "text/event-stream"}[form]
        exchange.send_header("content-type", kind)
        exchange.send_header("transfer-encoding", "chunked")
        exchange.end_headers()
        size = len(reply) // PACED_EVENTS if "paced" in request.path else CHUNK_BYTES
        started = time.perf_counter()
        for offset in range(0, len(reply), size):
            exchange.chunk(reply[offset : offset + size])
            if is_far:  # at the pace of a network, regardless of how long the previous chunk took
                time.sleep(max(0, started + (offset + size) / FAR_BYTES_A_SECOND - time.perf_counter()))
        exchange.chunk(b"")


@contextmanager
def sides(model: Model, provider: Provider) -> Iterator[dict[str, Callable[[str], tuple[float, float]]]]:
    """Yield a function that asks the model directly, and one that asks it through the gateway."""
    model_provider: ModelProvider = Anthropic(SecretStr("key"), DEFAULT_MODEL_IDS["anthropic"], model.url)
    path = "/v1/messages"
    if provider == "bedrock":
        os.environ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] = model.url
        session = boto3.Session("AKID", "secret", region_name="us-east-1")
        model_provider = Bedrock(session, "us-east-1", DEFAULT_MODEL_IDS["bedrock"])
        path = f"/model/{DEFAULT_MODEL_IDS['bedrock']}/invoke-with-response-stream"
    meter = Meter(ModelPrice.of(provider, DEFAULT_MODEL_IDS[provider]))
    with gateway(model_provider, meter) as server, httpx.Client(trust_env=False, timeout=60) as client:

        def ask_at(base: str) -> Callable[[str], tuple[float, float]]:
            def ask(query: str) -> tuple[float, float]:
                started = time.perf_counter()
                headers = {GATEWAY_TOKEN_HEADER: server.token}
                with client.stream("POST", f"{base}{path}{query}", json=BODY, headers=headers) as response:
                    chunks = response.iter_raw()
                    next(chunks)
                    first = time.perf_counter() - started
                    for _ in chunks:
                        pass
                return first, time.perf_counter() - started

            return ask

        yield {"direct": ask_at(model.url), "gateway": ask_at(server.url)}


def gateway_row(sides_of: object, count: int) -> Iterator[Measure]:
    """Row 6: the cost of the gateway."""
    del sides_of, count  # its rounds are shorter than a job, so there are more of them
    providers: tuple[Provider, ...] = ("anthropic", "bedrock")
    for provider in providers:
        with Model() as model, sides(model, provider) as asks:
            first = _pairs(asks, "", ROUNDS, 0)
            events = _pairs(asks, "?paced", 5, 1)
            long = _pairs(asks, "?long", 9, 1)
        added = 1000 * statistics.median(g - d for d, g in zip(first["direct"], first["gateway"], strict=True))
        yield Measure(
            6, f"{provider}: added to the first byte", f"{added:.1f} ms", "≤ 5 ms", added <= GOAL_MS, _ms(first)
        )
        late = 1000 * (medians(events)["gateway"] - medians(events)["direct"]) / PACED_EVENTS
        yield Measure(6, f"{provider}: added per event", f"{late:.2f} ms", "≤ 5 ms", late <= GOAL_MS)
        rate = 1 / ratio(long, "gateway", "direct")
        yield Measure(
            6, f"{provider}: throughput of 10 MB from loopback", f"{rate:.2f} × direct", "≥ 0.8 ×", rate >= GOAL_RATE,
            _ms(long),
        )  # fmt: skip
        with Model() as model, sides(model, provider) as asks:
            far = _pairs(asks, "?long-and-far", 5, 1)
        rate = 1 / ratio(far, "gateway", "direct")
        work = f"{provider}: throughput of 10 MB at {FAR_BYTES_A_SECOND * 8 // 10**6} Mbit/s"
        yield Measure(6, work, f"{rate:.2f} × direct", "≥ 0.8 ×", rate >= GOAL_RATE, _ms(far))


def _ms(times: dict[str, list[float]]) -> str:
    return ", ".join(f"{name} {1000 * median:.1f} ms" for name, median in medians(times).items())


def _pairs(
    asks: dict[str, Callable[[str], tuple[float, float]]], query: str, rounds: int, which: int
) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {side: [] for side in asks}
    for number in range(rounds + 2):
        for side, ask in asks.items():
            seconds = ask(query)[which]
            if number >= 2:  # the first two warm up
                times[side].append(seconds)
    return times
