"""The gateway, between a client that has the run's token and the scripted model that wants real credentials."""

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

from deployments.local.loopback import Asked, Exchange, LoopbackServer
from deployments.local.scripted_model import ModelFault, ScriptedModel, Turn, _frame
from flows.model.gateway import Gateway, gateway
from flows.model.gateway_token import GATEWAY_TOKEN_HEADER
from flows.model.meter import Meter
from flows.model.prices import ModelPrice
from flows.model.providers import Anthropic, Bedrock
from flows.parameters.provider import DEFAULT_MODEL_IDS

KEY, ACCESS_KEY_ID, SECRET_ACCESS_KEY = "the-api-key", "AKIDOFTHETEST", "the-secret-access-key"
SONNET, BEDROCK_SONNET = DEFAULT_MODEL_IDS["anthropic"], DEFAULT_MODEL_IDS["bedrock"]
MESSAGE = {"model": SONNET, "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}


def meter(budget_usd: float = 0) -> Meter:
    return Meter(ModelPrice.of("anthropic", SONNET), budget_usd)


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(KEY, ACCESS_KEY_ID, SECRET_ACCESS_KEY) as server:
        yield server


@pytest.fixture
def anthropic(model: ScriptedModel) -> Iterator[Gateway]:
    with gateway(Anthropic(SecretStr(KEY), SONNET, model.url), meter()) as made:
        yield made


@pytest.fixture
def bedrock(model: ScriptedModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", model.url)
    session = boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY, region_name="eu-west-1")
    with gateway(Bedrock(session, "eu-west-1", BEDROCK_SONNET), meter()) as made:
        yield made


def post(made: Gateway, path: str, body: Any = MESSAGE, **headers: str) -> httpx.Response:  # noqa: ANN401 (JSON)
    given = {GATEWAY_TOKEN_HEADER: made.token, **headers}
    return httpx.post(made.url + path, json=body, headers=given, trust_env=False)


def test_anthropic_gets_the_key_and_not_the_runs_token(model: ScriptedModel, anthropic: Gateway) -> None:
    answer = post(anthropic, "/v1/messages?beta=true", authorization=f"Bearer {anthropic.token}")
    assert answer.json()["content"][0]["text"] == "There is nothing to do."
    [asked] = model.asked
    assert asked.path == "/v1/messages?beta=true"
    assert asked.headers["x-api-key"] == KEY
    assert anthropic.token not in str(asked)


def test_bedrock_gets_a_signature_that_holds(model: ScriptedModel, bedrock: Gateway) -> None:
    answer = post(bedrock, f"/model/{BEDROCK_SONNET}/invoke", authorization="Bearer of the agent")
    assert answer.status_code == 200, answer.text
    assert "eu-west-1/bedrock/aws4_request" in model.asked[0].headers["authorization"]
    assert bedrock.token not in str(model.asked)


def test_a_signature_made_with_other_keys_does_not_hold(model: ScriptedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", model.url)
    session = boto3.Session(ACCESS_KEY_ID, "another-secret", region_name="eu-west-1")
    with gateway(Bedrock(session, "eu-west-1", BEDROCK_SONNET), meter()) as made:
        assert post(made, f"/model/{BEDROCK_SONNET}/invoke").status_code == 403


@pytest.mark.parametrize("token", ["", "guess"])
def test_nobody_without_the_token_gets_through(model: ScriptedModel, anthropic: Gateway, token: str) -> None:
    assert post(anthropic, "/v1/messages", **{GATEWAY_TOKEN_HEADER: token}).status_code == 403
    assert model.asked == []


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
def test_anthropic_is_asked_for_messages_of_the_runs_model_only(
    model: ScriptedModel, anthropic: Gateway, method: str, path: str, model_id: str
) -> None:
    headers = {GATEWAY_TOKEN_HEADER: anthropic.token}
    request = httpx.Request(method, anthropic.url, headers=headers, json={**MESSAGE, "model": model_id})
    request.url = request.url.copy_with(raw_path=path.encode())
    with httpx.Client(trust_env=False) as client:
        assert client.send(request).status_code == 403
    assert model.asked == []


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
def test_bedrock_is_asked_to_invoke_the_runs_model_only(model: ScriptedModel, bedrock: Gateway, path: str) -> None:
    assert post(bedrock, path).status_code == 403
    assert model.asked == []


def test_a_model_named_by_arn_is_signed_as_it_is_sent(model: ScriptedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", model.url)
    arn = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc"
    session = boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY, region_name="eu-west-1")
    with gateway(Bedrock(session, "eu-west-1", arn), meter()) as made:
        answer = post(made, "/model/" + arn.replace(":", "%3A").replace("/", "%2F") + "/invoke")
    # Not 403: the signature held, and the scripted model knows no such model.
    assert answer.status_code == 400
    assert "model identifier is invalid" in answer.text


def test_the_providers_errors_pass_through(model: ScriptedModel, anthropic: Gateway) -> None:
    model.script.faults.append(ModelFault(529, "overloaded"))
    answer = post(anthropic, "/v1/messages")
    assert answer.status_code == 529
    assert answer.json()["error"]["message"] == "overloaded"


def test_a_refused_key_is_an_answer_that_claude_code_does_not_try_again(model: ScriptedModel) -> None:
    with gateway(Anthropic(SecretStr("wrong"), SONNET, model.url), meter()) as made:
        assert post(made, "/v1/messages").status_code == 403


def test_a_provider_that_cannot_be_reached_is_a_bad_gateway() -> None:
    with gateway(Anthropic(SecretStr(KEY), SONNET, "http://127.0.0.1:9"), meter()) as made:
        answer = post(made, "/v1/messages")
    assert answer.status_code == 502
    assert "connection error" in answer.text


class Slow(LoopbackServer):
    """Sends one part, and the next only when it is told that the first has arrived."""

    def __init__(self) -> None:
        super().__init__()
        import threading  # noqa: PLC0415

        self.arrived = threading.Event()

    def answer(self, asked: Asked, exchange: Exchange) -> None:
        del asked
        exchange.send_response(200)
        exchange.send_header("content-type", "text/event-stream")
        exchange.send_header("transfer-encoding", "chunked")
        exchange.end_headers()
        exchange.chunk(b"data: first\n\n")
        exchange.chunk(b"data: second\n\n" if self.arrived.wait(10) else b"data: too late\n\n")
        exchange.chunk(b"")


def test_streams_are_not_held_back() -> None:
    with Slow() as provider, gateway(Anthropic(SecretStr(KEY), SONNET, provider.url), meter()) as made:
        headers = {GATEWAY_TOKEN_HEADER: made.token}
        received = []
        with httpx.stream("POST", f"{made.url}/v1/messages", json=MESSAGE, headers=headers, trust_env=False) as answer:
            for part in answer.iter_raw():
                received.append(part)
                provider.arrived.set()
    assert received == [b"data: first\n\n", b"data: second\n\n"]


def test_a_stream_reaches_the_client_whole(model: ScriptedModel, anthropic: Gateway) -> None:
    model.script.turns = (Turn("a" * 100_000),)
    answer = post(anthropic, "/v1/messages", {**MESSAGE, "stream": True})
    texts = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert texts[-1]["type"] == "message_stop"
    assert "a" * 100_000 in answer.text


USAGE = {"input_tokens": 1000, "output_tokens": 100}


@pytest.mark.parametrize("stream", [True, False])
def test_what_a_reply_took_is_counted_exactly(model: ScriptedModel, stream: bool) -> None:
    model.script.turns = (Turn("x" * 5000, usage=USAGE),)
    counted = meter()
    with gateway(Anthropic(SecretStr(KEY), SONNET, model.url), counted) as made:
        for _ in range(3):
            post(made, "/v1/messages", {**MESSAGE, "stream": stream})
    assert counted.spent_usd == pytest.approx(3 * counted.price.usd(USAGE))
    assert counted.is_exact


@pytest.mark.parametrize("verb", ["invoke", "invoke-with-response-stream"])
def test_what_bedrocks_replies_took_is_counted_exactly(
    model: ScriptedModel, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", model.url)
    model.script.turns = (Turn("x" * 5000, usage=USAGE),)
    session = boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY, region_name="eu-west-1")
    counted = Meter(ModelPrice.of("bedrock", BEDROCK_SONNET))
    with gateway(Bedrock(session, "eu-west-1", BEDROCK_SONNET), counted) as made:
        assert post(made, f"/model/{BEDROCK_SONNET}/{verb}").status_code == 200
    assert counted.spent_usd == counted.price.usd(USAGE)
    assert counted.is_exact


def test_the_request_that_would_start_above_the_budget_does_not_reach_the_provider(model: ScriptedModel) -> None:
    model.script.turns = (Turn("x", usage=USAGE),)
    counted = meter()
    counted.budget_usd = 1.5 * counted.price.usd(USAGE)
    with gateway(Anthropic(SecretStr(KEY), SONNET, model.url), counted) as made:
        answers = [post(made, "/v1/messages") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 402, 402]
    assert "the run's budget is used up" in answers[-1].text
    assert len(model.asked) == 2
    assert counted.has_refused


def test_many_at_once_do_not_get_past_the_budget(model: ScriptedModel) -> None:
    model.script.turns = (Turn("x", seconds=0.05, usage=USAGE),)
    counted = meter()
    counted.budget_usd = 2.5 * counted.price.usd(USAGE)
    body = {**MESSAGE, "max_tokens": 128_000}
    with gateway(Anthropic(SecretStr(KEY), SONNET, model.url), counted) as made, ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: post(made, "/v1/messages", body).status_code, range(12)))
    assert sorted(answers) == [200] * 3 + [402] * 9
    assert counted.spent_usd == pytest.approx(3 * counted.price.usd(USAGE))


def test_counting_tokens_is_free_and_lets_through_when_the_budget_is_used_up(model: ScriptedModel) -> None:
    counted = meter(budget_usd=0.000001)
    counted.spent_usd = 1
    with gateway(Anthropic(SecretStr(KEY), SONNET, model.url), counted) as made:
        post(made, "/v1/messages/count_tokens")
    assert [asked.path for asked in model.asked] == ["/v1/messages/count_tokens"]
    assert counted.replies == 0


def test_what_is_asked_after_its_end_does_not_reach_the_provider(model: ScriptedModel) -> None:
    counted = meter()
    with gateway(Anthropic(SecretStr(KEY), SONNET, model.url), counted) as made:
        assert post(made, "/v1/messages").status_code == 200
    with suppress(httpx.TransportError):  # it may have stopped to listen
        assert post(made, "/v1/messages").status_code == 402
    assert (len(model.asked), counted.replies) == (1, 1)


def test_a_reply_that_is_under_way_at_its_end_is_waited_for_and_counted() -> None:
    with Slow() as provider, ThreadPoolExecutor(1) as pool:
        counted = meter()
        with gateway(Anthropic(SecretStr(KEY), SONNET, provider.url), counted) as made:
            asked = pool.submit(post, made, "/v1/messages")
            while counted.is_settled:
                time.sleep(0.01)
        assert counted.is_settled
        assert counted.replies == 1
        provider.arrived.set()
        asked.exception()


def test_a_reply_that_nobody_reads_to_its_end_is_counted() -> None:
    with Slow() as provider:
        counted = meter()
        with gateway(Anthropic(SecretStr(KEY), SONNET, provider.url), counted) as made:
            headers = {GATEWAY_TOKEN_HEADER: made.token}
            url = f"{made.url}/v1/messages"
            with httpx.stream("POST", url, json=MESSAGE, headers=headers, trust_env=False) as answer:
                next(answer.iter_raw())
            provider.arrived.set()
            for _ in range(100):
                if counted.replies:
                    break
                time.sleep(0.05)
    assert counted.replies == 1
    assert not counted.is_exact


@pytest.mark.parametrize("field", ["speed", "service_tier", "mcp_servers", "container", "inference_geo"])
def test_what_costs_extra_or_reaches_out_is_not_let_through(
    model: ScriptedModel, anthropic: Gateway, bedrock: Gateway, field: str
) -> None:
    body = {**MESSAGE, field: "fast"}
    for made, path in ((anthropic, "/v1/messages"), (bedrock, f"/model/{BEDROCK_SONNET}/invoke")):
        answer = post(made, path, body)
        assert answer.status_code == 403
        assert field in answer.text
    assert model.asked == []


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff", b"[" * 5000])
def test_a_body_that_is_no_message_is_refused(model: ScriptedModel, anthropic: Gateway, body: bytes) -> None:
    headers = {GATEWAY_TOKEN_HEADER: anthropic.token}
    answer = httpx.post(f"{anthropic.url}/v1/messages", content=body, headers=headers, trust_env=False)
    assert answer.status_code in {400, 403}
    assert model.asked == []


def test_a_model_named_twice_is_the_one_that_was_looked_at(model: ScriptedModel, anthropic: Gateway) -> None:
    twice = f'{{"model": "claude-opus-5-5", "model": "{SONNET}", "messages": [], "max_tokens": 1}}'.encode()
    headers = {GATEWAY_TOKEN_HEADER: anthropic.token}
    httpx.post(f"{anthropic.url}/v1/messages", content=twice, headers=headers, trust_env=False)
    assert b"opus" not in model.asked[0].body


class Damaged(LoopbackServer):
    """Sends an AWS event stream with a wrong bit in its second frame."""

    def __init__(self) -> None:
        super().__init__()
        frames = [_frame(json.dumps({"type": "message_delta", "usage": USAGE})) for _ in range(3)]
        content = bytearray(b"".join(frames))
        content[len(frames[0]) + 60] ^= 1
        self.content = bytes(content)

    def answer(self, asked: Asked, exchange: Exchange) -> None:
        del asked
        exchange.reply(200, self.content, {"content-type": "application/vnd.amazon.eventstream"})


def test_a_damaged_event_stream_reaches_the_client_unchanged_and_counts_high() -> None:
    counted = meter()
    with Damaged() as provider, gateway(Anthropic(SecretStr(KEY), SONNET, provider.url), counted) as made:
        assert post(made, "/v1/messages").content == provider.content
    assert counted.is_settled
    assert counted.replies == 1
    assert not counted.is_exact


class Flaky(LoopbackServer):
    """Breaks off a few connections before it answers."""

    def __init__(self, faults: int) -> None:
        super().__init__()
        self.faults = faults

    def answer(self, asked: Asked, exchange: Exchange) -> None:
        del asked
        if self.faults:
            self.faults -= 1
            exchange.drop()
        else:
            exchange.reply(200, b'{"type": "message"}')


@pytest.mark.parametrize(("faults", "status"), [(2, 200), (3, 502)])
def test_a_connection_that_breaks_before_the_answer_is_tried_again_a_little(faults: int, status: int) -> None:
    with Flaky(faults) as provider, gateway(Anthropic(SecretStr(KEY), SONNET, provider.url), meter()) as made:
        assert post(made, "/v1/messages").status_code == status
