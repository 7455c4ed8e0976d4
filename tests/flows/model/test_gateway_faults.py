"""What fails between the agent's request and its answer: the request is settled, and the agent told nothing."""

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

from deployments.local.loopback import Asked, Exchange, LoopbackServer
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
"""Two of them at once could use a budget of a dollar up."""


def meter() -> Meter:
    return Meter(ModelPrice.of("anthropic", SONNET), budget_usd=1)


def post(made: Gateway, path: str = "/v1/messages", **options: object) -> httpx.Response:
    headers = {GATEWAY_TOKEN_HEADER: made.token}
    request = {"json": MESSAGE, "headers": headers, "trust_env": False, "timeout": 10, **options}
    return httpx.post(made.url + path, **request)  # type: ignore[arg-type]


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(KEY, "AKIDOFTHETEST", "the-secret-access-key") as server:
        yield server


@dataclass
class Faulty:
    """Anthropic, whose signature fails, or is what no request can hold, as often as is said."""

    base_url: str
    faults: list[Exception | Mapping[str, str]] = field(default_factory=list)

    def refuses(self, method: str, path: str, body: object) -> str:
        del method, path, body
        return ""

    def signature(self, method: str, url: str, content_type: str, body: bytes) -> Mapping[str, str]:
        del method, url, content_type, body
        fault = self.faults.pop() if self.faults else {"x-api-key": KEY}
        if isinstance(fault, Exception):
            raise fault
        return fault


PASSING = {
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


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_what_may_pass_is_answered_so_that_claude_code_tries_again_and_holds_nothing_up(
    model: ScriptedModel, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    counted = meter()
    with gateway(Faulty(model.url, [fault, fault]), counted) as made:
        answers = [post(made) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert not [answer for answer in answers if HUSH in answer.text or HUSH in str(answer.headers)]
    assert counted.is_settled
    assert counted.replies == 1
    assert caplog.text.count("the model gateway") == 1


@pytest.mark.parametrize("value", [f"{HUSH}\n", f"{HUSH}\r\nx: y", f"{HUSH}\0"])
def test_what_cannot_be_sent_is_settled_and_not_tried_again(model: ScriptedModel, value: str) -> None:
    counted = meter()
    with gateway(Faulty(model.url, [{"x-api-key": value}] * 2), counted) as made:
        answers = [post(made) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [400, 400, 200]
    assert HUSH not in "".join(answer.text for answer in answers)
    assert counted.is_settled


@pytest.mark.parametrize("error", [AwsCredentialsMissing, InvalidCredential])
def test_credentials_that_are_lost_are_named_to_the_run_and_refused_to_the_agent(
    model: ScriptedModel, error: type[AwsCredentialsMissing | InvalidCredential]
) -> None:
    counted = meter()
    with gateway(Faulty(model.url, [error(HUSH), error(HUSH)]), counted) as made:
        refused = [post(made) for _ in range(2)]
        assert type(made.error) is error
        assert post(made).status_code == 200
        assert made.error is None
    assert [answer.status_code for answer in refused] == [403, 403]
    assert error.__name__ in refused[0].text
    assert HUSH not in refused[0].text
    assert counted.is_settled


def test_the_log_of_the_run_has_the_faults_text_without_secrets(model: ScriptedModel) -> None:
    SECRETS.learn("of this test", "a-secret-of-a-signature")
    reports: list[str] = []
    faults: list[Exception | Mapping[str, str]] = [OSError("no a-secret-of-a-signature\\n there")]
    with gateway(Faulty(model.url, faults), meter(), reports.append) as made:
        post(made)
    assert reports == ["the model gateway: OSError: no ***\\n there"]


@pytest.mark.parametrize("error", [NoCredentialsError(), None])
def test_no_credentials_for_bedrock_have_their_name(
    model: ScriptedModel, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", model.url)
    session = boto3.Session("AKIDOFTHETEST", "the-secret-access-key", region_name="eu-west-1")

    def get_credentials() -> None:
        if error:
            raise error

    monkeypatch.setattr(session, "get_credentials", get_credentials)
    with gateway(Bedrock(session, "eu-west-1", BEDROCK_SONNET), meter()) as made:
        answer = post(made, f"/model/{BEDROCK_SONNET}/invoke")
        assert isinstance(made.error, AwsCredentialsMissing)
    assert answer.status_code == 403
    assert "AwsCredentialsMissing" in answer.text


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
    """Sends the bytes that it is given, and after that good replies."""

    def __init__(self, *replies: bytes) -> None:
        super().__init__()
        self.replies = list(replies)

    def answer(self, asked: Asked, exchange: Exchange) -> None:
        del asked
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
def test_a_damaged_reply_reaches_the_agent_as_it_is_and_is_settled(raw: bytes) -> None:
    counted = meter()
    with Raw(raw) as provider, gateway(Anthropic(SecretStr(KEY), SONNET, provider.url), counted) as made:
        first = post(made)
        assert first.content == raw.partition(b"\r\n\r\n")[2]
        assert post(made).status_code == 200
        wait_until(lambda: counted.is_settled)
    assert 0 <= counted.spent_usd < 1.5
    assert counted.replies == 2
    assert all(type(number) is int and number >= 0 for number in counted.tokens.values())


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
def test_a_reply_that_cannot_be_read_is_a_bad_gateway_and_settled(raw: bytes) -> None:
    counted = meter()
    with Raw(*[raw] * 3) as provider, gateway(Anthropic(SecretStr(KEY), SONNET, provider.url), counted) as made:
        answers = []
        while provider.replies:
            answers.append(post(made))
        assert post(made).status_code == 200
        wait_until(lambda: counted.is_settled)
    assert {answer.status_code for answer in answers} == {502}
    assert HUSH not in "".join(answer.text for answer in answers)


@pytest.mark.parametrize("packed", [False, True])
def test_an_error_of_the_provider_that_quotes_the_credentials_is_redacted(packed: bool) -> None:
    SECRETS.learn("the AWS session token", "a-session-token/of+this==test")
    said = b'{"message": "The Canonical String should have been x-amz-security-token:a-session-token/of+this==test"}'
    body = gzip.compress(said) if packed else said
    headers = {"content_encoding": b"gzip"} if packed else {}
    raw = reply(403, body, x_amzn_requestid=b"1", x_quoted=b"a-session-token/of+this==test", **headers)
    with Raw(raw) as provider, gateway(Anthropic(SecretStr(KEY), SONNET, provider.url), meter()) as made:
        answer = post(made)
    assert answer.json() == {"message": "The Canonical String should have been x-amz-security-token:***"}
    assert (answer.status_code, answer.headers["x-amzn-requestid"], answer.headers["x-quoted"]) == (403, "1", "***")


class Silent(LoopbackServer):
    """Does not answer until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def answer(self, asked: Asked, exchange: Exchange) -> None:
        del asked
        self.go.wait(20)
        exchange.reply(200, usage())


def test_an_agent_that_goes_away_before_the_answer_holds_nothing_up() -> None:
    counted = meter()
    with Silent() as provider, gateway(Anthropic(SecretStr(KEY), SONNET, provider.url), counted) as made:
        for _ in range(2):
            with pytest.raises(httpx.ReadTimeout):
                post(made, timeout=0.3)
        provider.go.set()
        assert post(made).status_code == 200
        wait_until(lambda: counted.is_settled)


@pytest.mark.parametrize(
    "headers", [{"x-odd": "é".encode("latin-1")}, {"x-odd": b"\xff"}, {"x-odd": "\u20ac".encode()}]
)
def test_a_header_of_the_agent_in_any_letters_holds_nothing_up(model: ScriptedModel, headers: dict[str, bytes]) -> None:
    counted = meter()
    with gateway(Anthropic(SecretStr(KEY), SONNET, model.url), counted) as made:
        odd = {**headers, GATEWAY_TOKEN_HEADER: made.token.encode()}
        assert [post(made, headers=odd).status_code for _ in range(3)] == [200] * 3
    assert counted.is_settled


@pytest.mark.parametrize("where", ["signing", "sending"])
def test_a_request_that_is_cancelled_is_settled(where: str) -> None:
    counted, began, go = meter(), threading.Event(), threading.Event()

    class Waits(Faulty):
        def signature(self, method: str, url: str, content_type: str, body: bytes) -> Mapping[str, str]:
            began.set()
            go.wait(10 if where == "signing" else 0)
            return super().signature(method, url, content_type, body)

    async def cancel(provider: ModelProvider) -> None:
        forwarder = Forwarder(provider, counted, "token", print)
        async with upstream.client() as forwarder.client:
            task = asyncio.ensure_future(forwarder.answer(request()))
            await asyncio.to_thread(wait_until, lambda: began.is_set() and (where == "signing" or bool(server.asked)))
            assert not counted.is_settled
            task.cancel()
            go.set()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert counted.is_settled

    with Silent() as server:
        asyncio.run(cancel(Waits(server.url)))
        server.go.set()


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
    raise AssertionError("it did not come to that")
