"""The gateway connects a client that has the run's token to a scripted model that requires real credentials."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import boto3
import httpx
import pytest
from pydantic import SecretStr

from deployments.local.aws_event_stream import event_frame
from deployments.local.loopback import Exchange, LoopbackServer, ReceivedRequest
from deployments.local.scripted_model import ModelFault, ScriptedModel, Turn
from flows.model.gateway import Gateway, gateway
from flows.model.gateway_token import GATEWAY_TOKEN_HEADER
from flows.model.meter import Meter
from flows.model.prices import ModelPrice
from flows.model.providers import Anthropic, Bedrock
from flows.parameters.provider import DEFAULT_MODEL_IDS

KEY, ACCESS_KEY_ID, SECRET_ACCESS_KEY = "the-api-key", "AKIDOFTHETEST", "the-secret-access-key"
SONNET, BEDROCK_SONNET = DEFAULT_MODEL_IDS["anthropic"], DEFAULT_MODEL_IDS["bedrock"]
MESSAGE = {"model": SONNET, "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}


def new_meter(budget_usd: float = 0) -> Meter:
    return Meter(ModelPrice.of("anthropic", SONNET), budget_usd)


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(KEY, ACCESS_KEY_ID, SECRET_ACCESS_KEY) as server:
        yield server


@pytest.fixture
def anthropic(model: ScriptedModel) -> Iterator[Gateway]:
    with gateway(Anthropic(SecretStr(KEY), SONNET, model.url), new_meter()) as server:
        yield server


@pytest.fixture
def bedrock(model: ScriptedModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", model.url)
    session = boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY, region_name="eu-west-1")
    with gateway(Bedrock(session, "eu-west-1", BEDROCK_SONNET), new_meter()) as server:
        yield server


def post(server: Gateway, path: str, body: Any = MESSAGE, **headers: str) -> httpx.Response:  # noqa: ANN401 (JSON)
    all_headers = {GATEWAY_TOKEN_HEADER: server.token, **headers}
    return httpx.post(server.url + path, json=body, headers=all_headers, trust_env=False)


def test_anthropic_receives_the_key_and_not_the_runs_token(model: ScriptedModel, anthropic: Gateway) -> None:
    response = post(anthropic, "/v1/messages?beta=true", authorization=f"Bearer {anthropic.token}")
    assert response.json()["content"][0]["text"] == "There is nothing to do."
    [request] = model.requests
    assert request.path == "/v1/messages?beta=true"
    assert request.headers["x-api-key"] == KEY
    assert anthropic.token not in str(request)


def test_bedrock_receives_a_valid_signature(model: ScriptedModel, bedrock: Gateway) -> None:
    response = post(bedrock, f"/model/{BEDROCK_SONNET}/invoke", authorization="Bearer of the agent")
    assert response.status_code == 200, response.text
    assert "eu-west-1/bedrock/aws4_request" in model.requests[0].headers["authorization"]
    assert bedrock.token not in str(model.requests)


def test_a_signature_with_other_keys_is_invalid(model: ScriptedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", model.url)
    session = boto3.Session(ACCESS_KEY_ID, "another-secret", region_name="eu-west-1")
    with gateway(Bedrock(session, "eu-west-1", BEDROCK_SONNET), new_meter()) as server:
        assert post(server, f"/model/{BEDROCK_SONNET}/invoke").status_code == 403


@pytest.mark.parametrize("token", ["", "guess"])
def test_a_request_without_the_token_is_refused(model: ScriptedModel, anthropic: Gateway, token: str) -> None:
    assert post(anthropic, "/v1/messages", **{GATEWAY_TOKEN_HEADER: token}).status_code == 403
    assert model.requests == []


@pytest.mark.parametrize(
    ("method", "path", "model_id"),
    [
        ("POST", "/v1/messages", "claude-opus-5-5"),
        ("POST", "/v1/messages/batches", SONNET),
        ("POST", "/v1/files", SONNET),
        ("GET", "/v1/models", SONNET),
        ("POST", "/v1/messages/../files", SONNET),
        ("POST", "//example.com/v1/messages", SONNET),
    ],
)
def test_only_messages_to_the_runs_model_are_forwarded_to_anthropic(
    model: ScriptedModel, anthropic: Gateway, method: str, path: str, model_id: str
) -> None:
    headers = {GATEWAY_TOKEN_HEADER: anthropic.token}
    request = httpx.Request(method, anthropic.url, headers=headers, json={**MESSAGE, "model": model_id})
    request.url = request.url.copy_with(raw_path=path.encode())
    with httpx.Client(trust_env=False) as client:
        assert client.send(request).status_code == 403
    assert model.requests == []


@pytest.mark.parametrize(
    "path",
    [
        "/model/us.anthropic.claude-opus-5-5/invoke",
        f"/model/{BEDROCK_SONNET}/converse",
        f"/model/{BEDROCK_SONNET}%2F..%2Fother/invoke",
        "/inference-profiles?type=SYSTEM_DEFINED",
        "/guardrail/x/version/1/apply",
    ],
)
def test_only_invocations_of_the_runs_model_are_forwarded_to_bedrock(
    model: ScriptedModel, bedrock: Gateway, path: str
) -> None:
    assert post(bedrock, path).status_code == 403
    assert model.requests == []


def test_a_model_named_by_its_arn_is_signed_correctly(model: ScriptedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", model.url)
    arn = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc"
    session = boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY, region_name="eu-west-1")
    with gateway(Bedrock(session, "eu-west-1", arn), new_meter()) as server:
        response = post(server, "/model/" + arn.replace(":", "%3A").replace("/", "%2F") + "/invoke")
    # Not 403: the signature was valid, but the scripted model does not know this model.
    assert response.status_code == 400
    assert "model identifier is invalid" in response.text


def test_the_providers_errors_pass_through(model: ScriptedModel, anthropic: Gateway) -> None:
    model.script.faults.append(ModelFault(529, "overloaded"))
    response = post(anthropic, "/v1/messages")
    assert response.status_code == 529
    assert response.json()["error"]["message"] == "overloaded"


def test_a_refused_key_becomes_a_status_that_claude_code_does_not_retry(model: ScriptedModel) -> None:
    with gateway(Anthropic(SecretStr("wrong"), SONNET, model.url), new_meter()) as server:
        assert post(server, "/v1/messages").status_code == 403


def test_an_unreachable_provider_is_a_bad_gateway() -> None:
    with gateway(Anthropic(SecretStr(KEY), SONNET, "http://127.0.0.1:9"), new_meter()) as server:
        response = post(server, "/v1/messages")
    assert response.status_code == 502
    assert "connection error" in response.text


class Slow(LoopbackServer):
    """Sends one chunk, and sends the next when the test reports that the first has arrived."""

    def __init__(self) -> None:
        super().__init__()
        import threading  # noqa: PLC0415

        self.arrived = threading.Event()

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        del request
        exchange.send_response(200)
        exchange.send_header("content-type", "text/event-stream")
        exchange.send_header("transfer-encoding", "chunked")
        exchange.end_headers()
        exchange.chunk(b"data: first\n\n")
        exchange.chunk(b"data: second\n\n" if self.arrived.wait(10) else b"data: too late\n\n")
        exchange.chunk(b"")


def test_streams_are_not_buffered() -> None:
    with Slow() as provider, gateway(Anthropic(SecretStr(KEY), SONNET, provider.url), new_meter()) as server:
        headers = {GATEWAY_TOKEN_HEADER: server.token}
        received = []
        url = f"{server.url}/v1/messages"
        with httpx.stream("POST", url, json=MESSAGE, headers=headers, trust_env=False) as response:
            for chunk in response.iter_raw():
                received.append(chunk)
                provider.arrived.set()
    assert received == [b"data: first\n\n", b"data: second\n\n"]


def test_a_stream_reaches_the_client_completely(model: ScriptedModel, anthropic: Gateway) -> None:
    model.script.turns = (Turn("a" * 100_000),)
    response = post(anthropic, "/v1/messages", {**MESSAGE, "stream": True})
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: ")]
    assert events[-1]["type"] == "message_stop"
    assert "a" * 100_000 in response.text


USAGE = {"input_tokens": 1000, "output_tokens": 100}


@pytest.mark.parametrize("stream", [True, False])
def test_the_cost_of_a_reply_is_counted_exactly(model: ScriptedModel, stream: bool) -> None:
    model.script.turns = (Turn("x" * 5000, usage=USAGE),)
    meter = new_meter()
    with gateway(Anthropic(SecretStr(KEY), SONNET, model.url), meter) as server:
        for _ in range(3):
            post(server, "/v1/messages", {**MESSAGE, "stream": stream})
    assert meter.spent_usd == pytest.approx(3 * meter.price.usd(USAGE))
    assert meter.is_exact


@pytest.mark.parametrize("verb", ["invoke", "invoke-with-response-stream"])
def test_the_cost_of_bedrocks_replies_is_counted_exactly(
    model: ScriptedModel, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", model.url)
    model.script.turns = (Turn("x" * 5000, usage=USAGE),)
    session = boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY, region_name="eu-west-1")
    meter = Meter(ModelPrice.of("bedrock", BEDROCK_SONNET))
    with gateway(Bedrock(session, "eu-west-1", BEDROCK_SONNET), meter) as server:
        assert post(server, f"/model/{BEDROCK_SONNET}/{verb}").status_code == 200
    assert meter.spent_usd == meter.price.usd(USAGE)
    assert meter.is_exact


def test_a_request_that_would_start_above_the_budget_does_not_reach_the_provider(model: ScriptedModel) -> None:
    model.script.turns = (Turn("x", usage=USAGE),)
    meter = new_meter()
    meter.budget_usd = 1.5 * meter.price.usd(USAGE)
    with gateway(Anthropic(SecretStr(KEY), SONNET, model.url), meter) as server:
        responses = [post(server, "/v1/messages") for _ in range(4)]
    assert [response.status_code for response in responses] == [200, 200, 402, 402]
    assert " is used up: $" in responses[-1].text
    assert len(model.requests) == 2
    assert meter.has_refused


def test_many_simultaneous_requests_do_not_exceed_the_budget(model: ScriptedModel) -> None:
    model.script.turns = (Turn("x", seconds=0.05, usage=USAGE),)
    meter = new_meter()
    meter.budget_usd = 2.5 * meter.price.usd(USAGE)
    body = {**MESSAGE, "max_tokens": 128_000}
    with gateway(Anthropic(SecretStr(KEY), SONNET, model.url), meter) as server, ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(lambda _: post(server, "/v1/messages", body).status_code, range(12)))
    assert sorted(statuses) == [200] * 3 + [402] * 9
    assert meter.spent_usd == pytest.approx(3 * meter.price.usd(USAGE))


def test_counting_tokens_is_free_and_allowed_when_the_budget_is_used_up(model: ScriptedModel) -> None:
    meter = new_meter(budget_usd=0.000001)
    meter.spent_usd = 1
    with gateway(Anthropic(SecretStr(KEY), SONNET, model.url), meter) as server:
        post(server, "/v1/messages/count_tokens")
    assert [request.path for request in model.requests] == ["/v1/messages/count_tokens"]
    assert meter.replies == 0


def test_a_request_after_the_gateway_closes_does_not_reach_the_provider(model: ScriptedModel) -> None:
    meter = new_meter()
    with gateway(Anthropic(SecretStr(KEY), SONNET, model.url), meter) as server:
        assert post(server, "/v1/messages").status_code == 200
    with suppress(httpx.TransportError):  # the gateway may have stopped listening
        assert post(server, "/v1/messages").status_code == 402
    assert (len(model.requests), meter.replies) == (1, 1)


def test_closing_the_gateway_waits_for_an_unfinished_reply_and_counts_it() -> None:
    with Slow() as provider, ThreadPoolExecutor(1) as pool:
        meter = new_meter()
        with gateway(Anthropic(SecretStr(KEY), SONNET, provider.url), meter) as server:
            future = pool.submit(post, server, "/v1/messages")
            while meter.is_settled:
                time.sleep(0.01)
        assert meter.is_settled
        assert meter.replies == 1
        provider.arrived.set()
        future.exception()


def test_a_reply_that_the_client_does_not_finish_reading_is_counted() -> None:
    with Slow() as provider:
        meter = new_meter()
        with gateway(Anthropic(SecretStr(KEY), SONNET, provider.url), meter) as server:
            headers = {GATEWAY_TOKEN_HEADER: server.token}
            url = f"{server.url}/v1/messages"
            with httpx.stream("POST", url, json=MESSAGE, headers=headers, trust_env=False) as response:
                next(response.iter_raw())
            provider.arrived.set()
            for _ in range(100):
                if meter.replies:
                    break
                time.sleep(0.05)
    assert meter.replies == 1
    assert not meter.is_exact


@pytest.mark.parametrize("field", ["speed", "service_tier", "mcp_servers", "container", "inference_geo"])
def test_fields_that_cost_extra_or_open_connections_are_refused(
    model: ScriptedModel, anthropic: Gateway, bedrock: Gateway, field: str
) -> None:
    body = {**MESSAGE, field: "fast"}
    for server, path in ((anthropic, "/v1/messages"), (bedrock, f"/model/{BEDROCK_SONNET}/invoke")):
        response = post(server, path, body)
        assert response.status_code == 403
        assert field in response.text
    assert model.requests == []


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff", b"[" * 5000])
def test_a_body_that_is_not_a_message_is_refused(model: ScriptedModel, anthropic: Gateway, body: bytes) -> None:
    headers = {GATEWAY_TOKEN_HEADER: anthropic.token}
    response = httpx.post(f"{anthropic.url}/v1/messages", content=body, headers=headers, trust_env=False)
    assert response.status_code in {400, 403}
    assert model.requests == []


def test_a_body_that_names_two_models_is_forwarded_with_the_checked_one(
    model: ScriptedModel, anthropic: Gateway
) -> None:
    body = f'{{"model": "claude-opus-5-5", "model": "{SONNET}", "messages": [], "max_tokens": 1}}'.encode()
    headers = {GATEWAY_TOKEN_HEADER: anthropic.token}
    httpx.post(f"{anthropic.url}/v1/messages", content=body, headers=headers, trust_env=False)
    assert b"opus" not in model.requests[0].body


class Damaged(LoopbackServer):
    """Sends an AWS event stream with a wrong bit in its second frame."""

    def __init__(self) -> None:
        super().__init__()
        frames = [event_frame(json.dumps({"type": "message_delta", "usage": USAGE})) for _ in range(3)]
        content = bytearray(b"".join(frames))
        content[len(frames[0]) + 60] ^= 1
        self.content = bytes(content)

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        del request
        exchange.reply(200, self.content, {"content-type": "application/vnd.amazon.eventstream"})


def test_a_damaged_event_stream_reaches_the_client_unchanged_and_its_cost_is_an_upper_bound() -> None:
    meter = new_meter()
    with Damaged() as provider, gateway(Anthropic(SecretStr(KEY), SONNET, provider.url), meter) as server:
        assert post(server, "/v1/messages").content == provider.content
    assert meter.is_settled
    assert meter.replies == 1
    assert not meter.is_exact


class Flaky(LoopbackServer):
    """Breaks off a few connections before it replies."""

    def __init__(self, faults: int) -> None:
        super().__init__()
        self.faults = faults

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        del request
        if self.faults:
            self.faults -= 1
            exchange.drop()
        else:
            exchange.reply(200, b'{"type": "message"}')


@pytest.mark.parametrize(("faults", "status"), [(2, 200), (3, 502)])
def test_a_connection_that_breaks_before_the_reply_is_retried_twice(faults: int, status: int) -> None:
    with Flaky(faults) as provider, gateway(Anthropic(SecretStr(KEY), SONNET, provider.url), new_meter()) as server:
        assert post(server, "/v1/messages").status_code == status
