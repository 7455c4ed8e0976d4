"""Forwards the agent's requests to the provider. Each request is checked and signed, and its cost is counted."""

import asyncio
import hmac
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import httpx
import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from flows.errors import RunError
from flows.model import upstream
from flows.model.gateway_token import GATEWAY_TOKEN_HEADER
from flows.model.meter import Meter, ModelRequest
from flows.model.provider_error import ProviderError, connection_error
from flows.model.providers import ModelProvider
from flows.model.replies import Observe, Settle, refusal, reply_to_agent
from flows.model.usage import UsageReader
from flows.redaction import redact

_STOP_SECONDS: Final = 10
_UNSENDABLE: Final = (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL)
"""Errors that httpx raises before it sends anything. Sending the same request again would raise them again."""
_DROPPED_HEADERS: Final = frozenset(
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
    """Answers each request of the agent with the provider's reply, or with a refusal if the request is not allowed."""

    client: httpx.AsyncClient
    loop: asyncio.AbstractEventLoop | None = None

    def __init__(self, provider: ModelProvider, meter: Meter, token: str, report: Callable[[str], object]) -> None:
        self.error: RunError | None = None
        """Why the last request could not be signed; None if it was signed, or if signing again may succeed."""
        self.provider_error: ProviderError | None = None
        """Why the last message to the model failed, in the provider's words; None if the reply ended well."""
        self.last_byte_at = 0.0
        """When the last part of a provider's reply arrived, in seconds of the monotonic clock."""
        self._provider, self._base_url, self._meter = provider, provider.base_url, meter
        self._token, self._report = token, report
        self._reply_ended = asyncio.Event()
        self._is_closed = False
        self._last_fault = ""

    def close(self) -> bool:
        """Forward no more requests to the model. Return whether the cost of every earlier request is counted."""

        async def close() -> bool:
            self._is_closed = True
            return self._meter.is_settled

        with suppress(RuntimeError, TimeoutError):  # the server has not started, or has already stopped
            if self.loop:
                return asyncio.run_coroutine_threadsafe(close(), self.loop).result(_STOP_SECONDS)
        return False

    async def answer(self, request: Request) -> Response:
        """Forward one request and return the provider's reply, or refuse the request and return the reason."""
        if not hmac.compare_digest(request.headers.get(GATEWAY_TOKEN_HEADER, "").encode(), self._token.encode()):
            return refusal(403, "this gateway serves one run's agent only: the gateway's token is missing or wrong")
        try:
            return await self._answer(request)
        except Exception as error:  # noqa: BLE001 (from the agent's request, boto3, httpx or this program)
            return self._refusal_for(error)

    def _refusal_for(self, error: Exception) -> Response:
        """Report an error to the run's log, and return a refusal to the agent that does not quote the error.

        Claude Code retries a status of 5xx for three minutes, and never retries a 400. On Bedrock, Claude Code also
        retries a 403, but the run ends Claude Code first, because `error` is set.
        """
        if isinstance(error, ClientDisconnect):
            return refusal(400, "the request was not sent completely")
        self._report_fault(error)
        if isinstance(error, RunError) and not error.retryable:
            self.error = error
            return refusal(403, f"the run's credentials for the model cannot be used: {type(error).__name__}")
        if isinstance(error, _UNSENDABLE):
            return refusal(400, "the request cannot be sent to the provider: its path or a header is malformed")
        if isinstance(error, httpx.HTTPError):
            return refusal(502, "connection error: the provider did not answer")
        return refusal(503, "the gateway could not send the request to the provider: try again")

    async def _answer(self, request: Request) -> Response:
        try:
            body = orjson.loads(await request.body() or b"{}")
            path, query = (request.scope[name].decode("ascii") for name in ("raw_path", "query_string"))
        except (orjson.JSONDecodeError, UnicodeDecodeError):
            return refusal(400, "the request is not JSON, or its path is not ASCII")
        if reason := self._provider.refusal_reason(request.method, path, body):
            return refusal(403, reason)
        url = f"{self._base_url}{path}{'?' + query if query else ''}"
        # The body is encoded again, so that the provider reads exactly what was checked above.
        content = orjson.dumps(body)
        if path.endswith(("/count_tokens", "/count-tokens")):
            return await self._forward(request, url, content, lambda *_: None, lambda _: None)
        max_tokens = body.get("max_tokens")
        is_count = isinstance(max_tokens, int) and max_tokens > 0
        model_request = ModelRequest(len(content), max_tokens if is_count else 0)
        if not await self._may_start(request, model_request):
            # Claude Code stops at this status. On Bedrock it would retry a 403 for three minutes.
            return refusal(402, f"the run's budget of ${self._meter.budget_usd} is used up: {self._meter}")
        return await self._forward(request, url, content, self._settle_once(model_request), self._observe)

    def _observe(self, error: ProviderError | None) -> None:
        self.provider_error = error

    def _notice_bytes(self) -> None:
        self.last_byte_at = time.monotonic()

    async def _may_start(self, request: Request, model_request: ModelRequest) -> bool:
        while not await request.is_disconnected() and not self._is_closed:
            # No other request can start between these two calls, because neither awaits.
            if not self._meter.must_wait(model_request):
                return self._meter.start(model_request)
            await self._reply_ended.wait()
        return False

    async def _forward(self, request: Request, url: str, content: bytes, settle: Settle, observe: Observe) -> Response:
        """Send a request and return the reply. `settle` is called when the reply ends, or when none comes."""
        try:
            reply = await upstream.send(self.client, await self._sign(request, url, content))
            return await reply_to_agent(reply, settle, observe, self._notice_bytes, self._report_fault)
        except httpx.HTTPError as error:
            settle(0, None)
            observe(connection_error(error))
            raise
        except BaseException:
            settle(0, None)
            raise

    async def _sign(self, request: Request, url: str, content: bytes) -> httpx.Request:
        content_type = request.headers.get("content-type", "application/json")
        # Renewing a role's credentials may wait for the network, which must not delay the streams of other requests.
        signature = await asyncio.to_thread(self._provider.signature, request.method, url, content_type, content)
        self.error = None
        # The gateway could not read the usage in a compressed reply.
        gateway_headers = {"content-type": content_type, **signature, "accept-encoding": "identity"}
        # The headers are bytes, because the agent's headers need not be valid text.
        new_headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in gateway_headers.items()]
        dropped_names = _DROPPED_HEADERS | {name for name, _ in new_headers}
        agent_headers = [(name, value) for name, value in request.headers.raw if name not in dropped_names]
        return httpx.Request(request.method, url, headers=[*agent_headers, *new_headers], content=content)

    def _settle_once(self, model_request: ModelRequest) -> Settle:
        """Return a function that counts a request's cost once. The function never awaits, so it cannot be cancelled."""
        is_settled = False

        def settle(status: int, reader: UsageReader | None) -> None:
            nonlocal is_settled
            if is_settled:
                return
            is_settled = True
            try:
                self._meter.settle(model_request, status, reader)
            finally:
                self._reply_ended.set()
                self._reply_ended = asyncio.Event()

        return settle

    def _report_fault(self, error: Exception) -> None:
        """Report an error to the run's log, unless it is the same as the error that was last reported."""
        fault = redact(f"error in the model gateway: {type(error).__name__}: {error}")
        if fault != self._last_fault:
            self._last_fault = fault
            self._report(fault)
