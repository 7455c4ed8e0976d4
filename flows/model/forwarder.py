"""Each request of the agent on its way through the gateway: looked at, counted, signed, sent, answered, and settled."""

import asyncio
import hmac
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import httpx
import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from flows.errors import RunError
from flows.model import upstream
from flows.model.gateway_token import GATEWAY_TOKEN_HEADER
from flows.model.meter import Asked, Meter
from flows.model.providers import ModelProvider
from flows.model.replies import Settle, refusal, reply_to_agent
from flows.model.usage import UsageReader
from flows.redaction import redact

_STOP_SECONDS: Final = 10
_CANNOT_BE_SENT: Final = (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL)
"""What httpx raises before it sends anything: the same request meets the same."""
_NOT_SENT_ON: Final = frozenset(
    {
        b"host",
        b"connection",
        b"content-length",
        b"transfer-encoding",
        b"authorization",
        b"x-api-key",
        b"cookie",
        GATEWAY_TOKEN_HEADER.encode(),
    }
)


class Forwarder:
    """Answers the agent's requests with the provider's answers."""

    client: httpx.AsyncClient
    loop: asyncio.AbstractEventLoop | None = None

    def __init__(self, provider: ModelProvider, meter: Meter, token: str, report: Callable[[str], object]) -> None:
        self.error: RunError | None = None
        """Why the last request could not be signed, where another try would not help."""
        self._provider, self._base_url, self._meter = provider, provider.base_url, meter
        self._token, self._report = token, report
        self._reply_is_over = asyncio.Event()
        self._is_closed = False
        self._last_fault = ""

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
        if not hmac.compare_digest(request.headers.get(GATEWAY_TOKEN_HEADER, "").encode(), self._token.encode()):
            return refusal(403, "this gateway serves one run's agent only")
        try:
            return await self._answer(request)
        except Exception as error:  # noqa: BLE001 (the agent's, boto3's, httpx's, a fault of this program)
            return self._fault(error)

    def _fault(self, error: Exception) -> Response:
        """Report what failed to the run's log; return what the agent is told, which holds no text of an exception.

        Claude Code tries a status of 5xx again, for three minutes, and no 400. A 403 it tries again on Bedrock: the run
        ends it before that, for `error` is set.
        """
        if isinstance(error, ClientDisconnect):
            return refusal(400, "the request broke off")
        self._tell(error)
        if isinstance(error, RunError) and not error.retryable:
            self.error = error
            return refusal(403, f"the run's credentials for the model cannot be used: {type(error).__name__}")
        if isinstance(error, _CANNOT_BE_SENT):
            return refusal(400, "the request cannot be sent to the provider")
        if isinstance(error, httpx.HTTPError):
            return refusal(502, "connection error: the provider did not answer")
        return refusal(503, "the gateway could not send the request to the provider: try again")

    async def _answer(self, request: Request) -> Response:
        try:
            body = orjson.loads(await request.body() or b"{}")
            path, query = (request.scope[name].decode("ascii") for name in ("raw_path", "query_string"))
        except (orjson.JSONDecodeError, UnicodeDecodeError):
            return refusal(400, "the request is not JSON, or its address is not ASCII")
        if reason := self._provider.refuses(request.method, path, body):
            return refusal(403, reason)
        url = f"{self._base_url}{path}{'?' + query if query else ''}"
        # Written again, so that what the provider reads is what was looked at here.
        content = orjson.dumps(body)
        if path.endswith(("/count_tokens", "/count-tokens")):
            return await self._forward(request, url, content, lambda *_: None)
        asked = Asked(len(content), _whole_number(body.get("max_tokens")))
        if not await self._may_start(request, asked):
            # Of this status Claude Code makes an end; a 403 of Bedrock it tries again for three minutes.
            return refusal(402, f"the run's budget is used up: {self._meter} of ${self._meter.budget_usd}")
        return await self._forward(request, url, content, self._settles_once(asked))

    async def _may_start(self, request: Request, asked: Asked) -> bool:
        while not await request.is_disconnected() and not self._is_closed:
            # Between this question and the start nothing else runs.
            if not self._meter.must_wait(asked):
                return self._meter.start(asked)
            await self._reply_is_over.wait()
        return False

    async def _forward(self, request: Request, url: str, content: bytes, settle: Settle) -> Response:
        """Return the provider's reply, which settles the request when it is over; settle it here if none comes."""
        try:
            reply = await upstream.send(self.client, await self._signed(request, url, content))
            return await reply_to_agent(reply, settle, self._tell)
        except BaseException:
            settle(0, None)
            raise

    async def _signed(self, request: Request, url: str, content: bytes) -> httpx.Request:
        content_type = request.headers.get("content-type", "application/json")
        # Refreshing a role's credentials may wait for the network, and must not hold up the streams.
        signature = await asyncio.to_thread(self._provider.signature, request.method, url, content_type, content)
        self.error = None
        # What is counted as it passes must not be compressed.
        ours = {"content-type": content_type, **signature, "accept-encoding": "identity"}
        own_headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in ours.items()]
        # As bytes: those of the agent need not be text.
        not_sent_on = _NOT_SENT_ON | {name for name, _ in own_headers}
        headers = [(name, value) for name, value in request.headers.raw if name not in not_sent_on]
        return httpx.Request(request.method, url, headers=[*headers, *own_headers], content=content)

    def _settles_once(self, asked: Asked) -> Settle:
        """Return what settles a request that has started. It does not wait, so that nothing can cancel it."""
        is_settled = False

        def settle(status: int, reader: UsageReader | None) -> None:
            nonlocal is_settled
            if is_settled:
                return
            is_settled = True
            try:
                self._meter.settle(asked, status, reader)
            finally:
                self._reply_is_over.set()
                self._reply_is_over = asyncio.Event()

        return settle

    def _tell(self, error: Exception) -> None:
        """Report a fault to the run's log, and the same one in a row once."""
        fault = redact(f"the model gateway: {type(error).__name__}: {error}")
        if fault != self._last_fault:
            self._last_fault = fault
            self._report(fault)


def _whole_number(value: Any) -> int:  # noqa: ANN401 (JSON)
    return value if isinstance(value, int) and value > 0 else 0
