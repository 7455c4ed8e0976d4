"""Errors between the agent's request and the response: the request is settled, and the agent sees no secret."""

import asyncio
import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, CredentialRetrievalError, NoCredentialsError
from pydantic import SecretStr
from starlette.requests import Request
from starlette.types import Message

from deployments.local.loopback import Exchange, LoopbackServer, ReceivedRequest
from deployments.local.scripted_model import ScriptedModel
from flows.errors import AwsCredentialsMissing, InvalidCredential
from flows.model import upstream
from flows.model.forwarder import Forwarder
from flows.model.gateway import Gateway, gateway
from flows.model.gateway_token import GATEWAY_TOKEN_HEADER
from flows.model.meter import Meter
from flows.model.prices import ModelPrice
from flows.model.providers import Anthropic, Bedrock, ModelProvider
from flows.parameters.provider import DEFAULT_MODEL_IDS
from flows.redaction import SECRETS

KEY, HUSH = "the-api-key", "hush-the-secret-of-an-exception"
SONNET, BEDROCK_SONNET = DEFAULT_MODEL_IDS["anthropic"], DEFAULT_MODEL_IDS["bedrock"]
MESSAGE = {"model": SONNET, "max_tokens": 64_000, "messages": [{"role": "user", "content": "hello"}]}
"""Two of these at once could use up a budget of one dollar."""


def new_meter() -> Meter:
    return Meter(ModelPrice.of("anthropic", SONNET), budget_usd=1)


def post(server: Gateway, path: str = "/v1/messages", **options: object) -> httpx.Response:
    headers = {GATEWAY_TOKEN_HEADER: server.token}
    request = {"json": MESSAGE, "headers": headers, "trust_env": False, "timeout": 10, **options}
    return httpx.post(server.url + path, **request)  # type: ignore[arg-type]


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(KEY, "AKIDOFTHETEST", "the-secret-access-key") as server:
        yield server


@dataclass
class Faulty:
    """A provider whose signature fails or cannot be sent, once for each of its faults."""

    base_url: str
    faults: list[Exception | Mapping[str, str]] = field(default_factory=list)

    def refusal_reason(self, method: str, path: str, body: object) -> str:
        del method, path, body
        return ""

    def signature(self, method: str, url: str, content_type: str, body: bytes) -> Mapping[str, str]:
        del method, url, content_type, body
        fault = self.faults.pop() if self.faults else {"x-api-key": KEY}
        if isinstance(fault, Exception):
            raise fault
        return fault


TEMPORARY = {
    "retrieval": CredentialRetrievalError(provider="custom-process", error_msg=HUSH),
    "time-out": ConnectTimeoutError(endpoint_url=f"http://{HUSH}"),
    "throttled": ClientError({"Error": {"Code": "Throttling", "Message": HUSH}}, "AssumeRole"),
    "still-expired": RuntimeError(HUSH),
    "no-more-files": OSError(24, HUSH),
    "a-bug": KeyError(HUSH),
    "recursion": RecursionError(HUSH),
    "memory": MemoryError(HUSH),
    "not-encodable": {"x-api-key": f"{HUSH}\u20ac"},
    "not-text": {"x-api-key": None},
}


@pytest.mark.parametrize("fault", TEMPORARY.values(), ids=TEMPORARY.keys())
def test_a_temporary_error_makes_claude_code_retry_and_blocks_no_other_request(
    model: ScriptedModel, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    meter = new_meter()
    with gateway(Faulty(model.url, [fault, fault]), meter) as server:
        responses = [post(server) for _ in range(3)]
    assert [response.status_code for response in responses] == [503, 503, 200]
    assert not [response for response in responses if HUSH in response.text or HUSH in str(response.headers)]
    assert meter.is_settled
    assert meter.replies == 1
    assert caplog.text.count("the model gateway") == 1


@pytest.mark.parametrize("value", [f"{HUSH}\n", f"{HUSH}\r\nx: y", f"{HUSH}\0"])
def test_a_request_that_cannot_be_sent_is_settled_and_not_retried(model: ScriptedModel, value: str) -> None:
    meter = new_meter()
    with gateway(Faulty(model.url, [{"x-api-key": value}] * 2), meter) as server:
        responses = [post(server) for _ in range(3)]
    assert [response.status_code for response in responses] == [400, 400, 200]
    assert HUSH not in "".join(response.text for response in responses)
    assert meter.is_settled


@pytest.mark.parametrize("error", [AwsCredentialsMissing, InvalidCredential])
def test_lost_credentials_are_an_error_of_the_run_and_a_refusal_for_the_agent(
    model: ScriptedModel, error: type[AwsCredentialsMissing | InvalidCredential]
) -> None:
    meter = new_meter()
    with gateway(Faulty(model.url, [error(HUSH), error(HUSH)]), meter) as server:
        refused_responses = [post(server) for _ in range(2)]
        assert type(server.error) is error
        assert post(server).status_code == 200
        assert server.error is None
    assert [response.status_code for response in refused_responses] == [403, 403]
    assert error.__name__ in refused_responses[0].text
    assert HUSH not in refused_responses[0].text
    assert meter.is_settled


def test_the_runs_log_has_the_text_of_the_error_without_secrets(model: ScriptedModel) -> None:
    SECRETS.learn("of this test", "a-secret-of-a-signature")
    reports: list[str] = []
    faults: list[Exception | Mapping[str, str]] = [OSError("no a-secret-of-a-signature\\n there")]
    with gateway(Faulty(model.url, faults), new_meter(), reports.append) as server:
        post(server)
    assert reports == ["error in the model gateway: OSError: no ***\\n there"]


@pytest.mark.parametrize("error", [NoCredentialsError(), None])
def test_missing_credentials_for_bedrock_are_a_named_error(
    model: ScriptedModel, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", model.url)
    session = boto3.Session("AKIDOFTHETEST", "the-secret-access-key", region_name="eu-west-1")

    def get_credentials() -> None:
        if error:
            raise error

    monkeypatch.setattr(session, "get_credentials", get_credentials)
    with gateway(Bedrock(session, "eu-west-1", BEDROCK_SONNET), new_meter()) as server:
        response = post(server, f"/model/{BEDROCK_SONNET}/invoke")
        assert isinstance(server.error, AwsCredentialsMissing)
    assert response.status_code == 403
    assert "AwsCredentialsMissing" in response.text


def reply(status: int = 200, body: bytes = b"{}", kind: bytes = b"application/json", **headers: bytes) -> bytes:
    lines = [
        b"HTTP/1.1 %d X" % status,
        b"content-length: %d" % len(body),
        b"connection: close",
        b"content-type: " + kind,
    ]
    lines += [name.replace("_", "-").encode() + b": " + value for name, value in headers.items()]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def usage(**numbers: object) -> bytes:
    return json.dumps({"type": "message", "usage": {"input_tokens": 5, "output_tokens": 5, **numbers}}).encode()


def frame(payload: bytes) -> bytes:
    return (16 + len(payload)).to_bytes(4, "big") + bytes(8) + payload + bytes(4)


class Raw(LoopbackServer):
    """Sends the replies that the test supplies, and valid replies after those."""

    def __init__(self, *replies: bytes) -> None:
        super().__init__()
        self.replies = list(replies)

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        del request
        exchange.wfile.write(self.replies.pop() if self.replies else reply(body=usage()))
        exchange.close_connection = True


STREAM, AWS_STREAM = b"text/event-stream", b"application/vnd.amazon.eventstream"
DAMAGED = {
    "not-a-number": reply(body=usage(input_tokens="many")),
    "negative": reply(body=usage(output_tokens=-(10**6))),
    "huge": reply(body=usage(output_tokens=10**30)),
    "infinite": reply(body=usage().replace(b": 5", b": 1e999")),
    "nan": reply(body=usage().replace(b": 5", b": NaN")),
    "a-list": reply(body=usage(input_tokens=[1])),
    "a-fraction": reply(body=usage(output_tokens=1.5)),
    "nested-damage": reply(body=usage(cache_creation={"ephemeral_5m_input_tokens": "x"})),
    "contradiction": reply(body=usage(cache_read_input_tokens=10**9)),
    "deep": reply(body=b'{"usage":' + b"[" * 100_000 + b"}"),
    "deep-in-a-stream": reply(body=b'data: {"usage":' + b"[" * 100_000 + b"\n\n", kind=STREAM),
    "deep-in-a-frame": reply(body=frame(b"[" * 100_000), kind=AWS_STREAM),
    "header-not-latin": reply(body=usage(), x_place="Zürich \u20ac".encode()),
    "header-not-utf-8": reply(body=usage(), x_place=b"\xff\xfe"),
    "no-type": reply(body=usage(), kind=b"\xff"),
}


@pytest.mark.parametrize("raw", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_reply_reaches_the_agent_unchanged_and_is_settled(raw: bytes) -> None:
    meter = new_meter()
    with Raw(raw) as provider, gateway(Anthropic(SecretStr(KEY), SONNET, provider.url), meter) as server:
        first = post(server)
        assert first.content == raw.partition(b"\r\n\r\n")[2]
        assert post(server).status_code == 200
        wait_until(lambda: meter.is_settled)
    assert 0 <= meter.spent_usd < 1.5
    assert meter.replies == 2
    assert all(type(number) is int and number >= 0 for number in meter.tokens.values())


UNREADABLE = {
    "no-http": b"hush-the-secret-of-an-exception\r\n\r\n",
    "bad-header": b"HTTP/1.1 200 OK\r\nhush-the-secret-of-an-exception\r\n\r\n",
    "huge-header": b"HTTP/1.1 200 OK\r\nx: " + HUSH.encode() * 10_000 + b"\r\n\r\n",
    "nothing": b"",
    "bad-length": b"HTTP/1.1 200 OK\r\ncontent-length: " + HUSH.encode() + b"\r\n\r\n",
    "error-that-breaks-off": b"HTTP/1.1 500 X\r\ncontent-length: 100\r\n\r\n",
    "error-that-cannot-be-unpacked": reply(500, HUSH.encode(), content_encoding=b"gzip"),
}


@pytest.mark.parametrize("raw", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_unreadable_reply_is_a_bad_gateway_and_is_settled(raw: bytes) -> None:
    meter = new_meter()
    with Raw(*[raw] * 3) as provider, gateway(Anthropic(SecretStr(KEY), SONNET, provider.url), meter) as server:
        responses = []
        while provider.replies:
            responses.append(post(server))
        assert post(server).status_code == 200
        wait_until(lambda: meter.is_settled)
    assert {response.status_code for response in responses} == {502}
    assert HUSH not in "".join(response.text for response in responses)


@pytest.mark.parametrize("is_compressed", [False, True])
def test_credentials_that_the_provider_quotes_in_an_error_are_redacted(is_compressed: bool) -> None:
    SECRETS.learn("the AWS session token", "a-session-token/of+this==test")
    content = b'{"message": "The Canonical String should have been x-amz-security-token:a-session-token/of+this==test"}'
    body = gzip.compress(content) if is_compressed else content
    headers = {"content_encoding": b"gzip"} if is_compressed else {}
    raw = reply(403, body, x_amzn_requestid=b"1", x_quoted=b"a-session-token/of+this==test", **headers)
    with Raw(raw) as provider, gateway(Anthropic(SecretStr(KEY), SONNET, provider.url), new_meter()) as server:
        response = post(server)
    assert response.json() == {"message": "The Canonical String should have been x-amz-security-token:***"}
    assert response.status_code == 403
    assert response.headers["x-amzn-requestid"] == "1"
    assert response.headers["x-quoted"] == "***"


class Silent(LoopbackServer):
    """Does not reply until the test allows it."""

    def __init__(self) -> None:
        super().__init__()
        self.may_reply = threading.Event()

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        del request
        self.may_reply.wait(20)
        exchange.reply(200, usage())


def test_an_agent_that_disconnects_before_the_reply_blocks_no_other_request() -> None:
    meter = new_meter()
    with Silent() as provider, gateway(Anthropic(SecretStr(KEY), SONNET, provider.url), meter) as server:
        for _ in range(2):
            with pytest.raises(httpx.ReadTimeout):
                post(server, timeout=0.3)
        provider.may_reply.set()
        assert post(server).status_code == 200
        wait_until(lambda: meter.is_settled)


@pytest.mark.parametrize(
    "headers", [{"x-odd": "é".encode("latin-1")}, {"x-odd": b"\xff"}, {"x-odd": "\u20ac".encode()}]
)
def test_a_header_with_unusual_characters_blocks_no_request(model: ScriptedModel, headers: dict[str, bytes]) -> None:
    meter = new_meter()
    with gateway(Anthropic(SecretStr(KEY), SONNET, model.url), meter) as server:
        odd_headers = {**headers, GATEWAY_TOKEN_HEADER: server.token.encode()}
        assert [post(server, headers=odd_headers).status_code for _ in range(3)] == [200] * 3
    assert meter.is_settled


@pytest.mark.parametrize("where", ["signing", "sending"])
def test_a_cancelled_request_is_settled(where: str) -> None:
    meter, is_signing, may_continue = new_meter(), threading.Event(), threading.Event()

    class Waiting(Faulty):
        def signature(self, method: str, url: str, content_type: str, body: bytes) -> Mapping[str, str]:
            is_signing.set()
            may_continue.wait(10 if where == "signing" else 0)
            return super().signature(method, url, content_type, body)

    async def cancel(provider: ModelProvider) -> None:
        forwarder = Forwarder(provider, meter, "token", print)
        async with upstream.client() as forwarder.client:
            task = asyncio.ensure_future(forwarder.answer(request()))
            event = is_signing.is_set if where == "signing" else lambda: bool(server.requests)
            await asyncio.to_thread(wait_until, event)
            assert not meter.is_settled
            task.cancel()
            may_continue.set()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert meter.is_settled

    with Silent() as server:
        asyncio.run(cancel(Waiting(server.url)))
        server.may_reply.set()


def request() -> Request:
    messages = [{"type": "http.request", "body": json.dumps(MESSAGE).encode()}]

    async def receive() -> Message:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop()

    scope = {
        "type": "http", "method": "POST", "path": "/v1/messages", "raw_path": b"/v1/messages", "query_string": b"",
        "headers": [(GATEWAY_TOKEN_HEADER.encode(), b"token")],
    }  # fmt: skip
    return Request(scope, receive)


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(200):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("the condition did not become true in 4 s")
