"""The model gateway: a server on loopback that Claude Code talks to in place of the provider.

It holds the credentials, so that the agent needs none. What the agent has is a token of this run, good for the
run's own model through this gateway and for nothing else. Bodies pass through as they are, streams unbuffered.
"""

import asyncio
import hmac
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import httpx
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from flows.agent.command import GATEWAY_TOKEN_HEADER
from flows.errors import RunError
from flows.model import upstream
from flows.model.meter import Asked, Meter
from flows.model.providers import ModelProvider
from flows.model.usage import UsageReader, usage_reader
from flows.redaction import GATEWAY_TOKEN, SECRETS

_STOP_SECONDS: Final = 10
_KEEP_ALIVE_SECONDS: Final = 900
"""Longer than a shell command of the agent, so that its next request does not meet a closing connection."""
_NOT_SENT_ON: Final = frozenset(
    {
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "accept-encoding",
        "authorization",
        "x-api-key",
        "cookie",
        GATEWAY_TOKEN_HEADER,
    }
)
_NOT_SENT_BACK: Final = frozenset({"connection", "transfer-encoding", "content-length", "set-cookie", "keep-alive"})

_Settle = Callable[[Asked | None, int, UsageReader], Awaitable[None]]


@dataclass(frozen=True)
class Gateway:
    """A running gateway: its address, and the token that it asks for."""

    url: str
    token: str


@contextmanager
def gateway(provider: ModelProvider, meter: Meter) -> Iterator[Gateway]:
    """Serve `provider` on a free port of 127.0.0.1 for as long as the context lasts, and count on `meter`."""
    token = secrets.token_urlsafe(32)
    SECRETS.learn(GATEWAY_TOKEN, token)
    listener = socket.create_server(("127.0.0.1", 0))
    # Connections inherit it; without, each answer waits 40 ms for an acknowledgement of its headers.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    forwarder = _Forwarder(provider, provider.base_url, meter, token)
    server = uvicorn.Server(
        uvicorn.Config(
            _application(forwarder),
            log_config=None,
            log_level="critical",
            lifespan="on",
            timeout_graceful_shutdown=1,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="model-gateway", daemon=True)
    thread.start()
    try:
        yield Gateway(f"http://127.0.0.1:{listener.getsockname()[1]}", token)
    finally:
        server.should_exit = True
        # uvicorn takes a fifth of a second to stop. There is something to wait for only where a reply is to be counted.
        if not forwarder.close():
            thread.join(_STOP_SECONDS)
            listener.close()


def _application(forwarder: "_Forwarder") -> Starlette:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        forwarder.loop = asyncio.get_running_loop()
        async with upstream.client() as forwarder.client:
            yield

    return Starlette(
        routes=[Route("/{path:path}", forwarder.answer, methods=["GET", "HEAD", "POST"])], lifespan=lifespan
    )


class _Forwarder:
    """Answers the agent's requests with the provider's answers."""

    client: httpx.AsyncClient
    loop: asyncio.AbstractEventLoop | None = None

    def __init__(self, provider: ModelProvider, base_url: str, meter: Meter, token: str) -> None:
        self._provider, self._base_url, self._meter, self._token = provider, base_url, meter, token
        self._reply_is_over = asyncio.Condition()
        self._is_closed = False

    def close(self) -> bool:
        """Start no more requests to the model; return whether all that were started are settled."""

        async def close() -> bool:
            self._is_closed = True
            return self._meter.is_settled

        with suppress(RuntimeError, TimeoutError):  # it never began, or ended by itself
            if self.loop:
                return asyncio.run_coroutine_threadsafe(close(), self.loop).result(_STOP_SECONDS)
        return False

    async def answer(self, request: Request) -> Response:
        """Forward one request, or say why not."""
        if not hmac.compare_digest(request.headers.get(GATEWAY_TOKEN_HEADER, ""), self._token):
            return _refusal(403, "this gateway serves one run's agent only")
        try:
            body = orjson.loads(await request.body() or b"{}")
        except orjson.JSONDecodeError:
            return _refusal(400, "the request is not JSON")
        path = request.scope["raw_path"].decode("ascii")
        if reason := self._provider.refuses(request.method, path, body):
            return _refusal(403, reason)
        # Written anew, so that what the provider reads is what was looked at here.
        sent = orjson.dumps(body)
        if path.endswith(("/count_tokens", "/count-tokens")):
            return await self._forward(request, path, sent, None)
        asked = Asked(len(sent), _whole_number(body.get("max_tokens")))
        if not await self._may_start(request, asked):
            # Of this status Claude Code makes an end; a 403 of Bedrock it tries again for three minutes.
            return _refusal(402, f"the run's budget is used up: {self._meter} of ${self._meter.budget_usd}")
        return await self._forward(request, path, sent, asked)

    async def _may_start(self, request: Request, asked: Asked) -> bool:
        async with self._reply_is_over:
            await self._reply_is_over.wait_for(lambda: not self._meter.must_wait(asked))
            return not await request.is_disconnected() and not self._is_closed and self._meter.start(asked)

    async def _forward(self, request: Request, path: str, body: bytes, asked: Asked | None) -> Response:
        try:
            answer = await upstream.send(self.client, await self._signed(request, path, body))
        except (httpx.HTTPError, RunError) as error:
            await self._settle(asked)
            if isinstance(error, RunError):
                return _refusal(403, str(error))
            return _refusal(502, f"connection error: the provider did not answer: {type(error).__name__}: {error}")
        return _Passed(answer, asked, self._settle)

    async def _signed(self, request: Request, path: str, body: bytes) -> httpx.Request:
        query = request.scope["query_string"].decode("ascii")
        url = f"{self._base_url}{path}{'?' + query if query else ''}"
        headers = {name: value for name, value in request.headers.items() if name not in _NOT_SENT_ON}
        content_type = headers.get("content-type", "application/json")
        # Refreshing a role's credentials may wait for the network, and must not hold up the streams.
        signature = await asyncio.to_thread(self._provider.signature, request.method, url, content_type, body)
        # What is counted as it passes must not be compressed.
        headers = {**headers, "accept-encoding": "identity", **signature}
        return httpx.Request(request.method, url, headers=headers, content=body)

    async def _settle(self, asked: Asked | None, status: int = 0, reader: UsageReader | None = None) -> None:
        if asked is None:
            return
        async with self._reply_is_over:
            self._meter.settle(asked, status, reader)
            self._reply_is_over.notify_all()


class _Passed(StreamingResponse):
    """The provider's answer, counted as it passes; it is settled however it ends."""

    def __init__(self, answer: httpx.Response, asked: Asked | None, settle: _Settle) -> None:
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in _NOT_SENT_BACK}
        # Claude Code tries a 401 again for three minutes; credentials that we sign with do not get better by that.
        status = 403 if answer.status_code == 401 else answer.status_code  # noqa: PLR2004
        super().__init__(self._parts(), status, headers)
        self._answer, self._asked, self._settle = answer, asked, settle
        self._reader = usage_reader(answer.headers.get("content-type", ""))

    async def _parts(self) -> AsyncIterator[bytes]:
        async for part in self._answer.aiter_raw():
            self._reader.feed(part)
            yield part

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._answer.aclose()
            await self._settle(self._asked, self._answer.status_code, self._reader)


def _whole_number(value: Any) -> int:  # noqa: ANN401 (JSON)
    return value if isinstance(value, int) and value > 0 else 0


def _refusal(status: int, message: str) -> JSONResponse:
    return JSONResponse(
        {"type": "error", "error": {"type": "gateway_error", "message": message}, "message": message}, status
    )
