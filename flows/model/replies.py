"""Builds the gateway's responses to the agent: the provider's replies, and the gateway's own refusals."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Final

import httpx
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from flows.model.provider_error import ProviderError, cut_off, error_of_reply
from flows.model.usage import UsageReader, usage_reader
from flows.redaction import SECRETS

_DROPPED_HEADERS: Final = frozenset(
    {b"connection", b"transfer-encoding", b"content-length", b"set-cookie", b"keep-alive"}
)
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_FIRST_ERROR: Final = 400
_MAX_ERROR_BYTES: Final = 2**20

Settle = Callable[[int, UsageReader | None], None]
"""A function to call when a request ends, with the reply's HTTP status and usage reader. Without a successful reply,
the reader is None; without any reply, the status is 0."""
Observe = Callable[[ProviderError | None], None]
"""A function to call when a reply ends, with the provider's error, or with None if the reply ended well."""
ReportFault = Callable[[Exception], None]
"""A function to call with each error that belongs in the run's log."""


def refusal(status: int, message: str) -> JSONResponse:
    """Return an error reply of the gateway itself, in a format that Claude Code understands for every provider."""
    error = {"type": "gateway_error", "message": message}
    return JSONResponse({"type": "error", "error": error, "message": message}, status)


async def reply_to_agent(
    reply: httpx.Response, settle: Settle, observe: Observe, on_bytes: Callable[[], None], report_fault: ReportFault
) -> Response:
    """Return a response that passes the provider's reply on to the agent.

    Args:
        reply: The provider's reply, whose body is not read yet.
        settle: Called when the reply ends, to count its cost.
        observe: Called when the reply ends, with the provider's error or None.
        on_bytes: Called whenever a part of the reply arrives.
        report_fault: Called with an error that cuts off the reply.
    """
    if reply.status_code < _FIRST_ERROR:
        return _CountedReply(reply, settle, observe, on_bytes, report_fault)
    content = b""
    async with aclosing(reply):
        async for chunk in reply.aiter_bytes():
            content += chunk
            if len(content) > _MAX_ERROR_BYTES:
                break
    settle(reply.status_code, None)
    observe(error_of_reply(reply.status_code, reply.headers, content[:_MAX_ERROR_BYTES]))
    # Claude Code retries a 401 for three minutes. That cannot help, because the credentials are the gateway's.
    status = _FORBIDDEN if reply.status_code == _UNAUTHORIZED else reply.status_code
    # For a wrong signature, AWS quotes the headers of the request, and with them the session token.
    response = Response(SECRETS.redact_bytes(content[:_MAX_ERROR_BYTES]), status)
    length = (b"content-length", str(len(response.body)).encode())
    response.raw_headers = [*((name, SECRETS.redact_bytes(value)) for name, value in _headers(reply)), length]
    return response


def _headers(reply: httpx.Response) -> list[tuple[bytes, bytes]]:
    """Return those headers of a provider's reply that the agent receives, as bytes: they need not be valid text."""
    headers = [(name.lower(), value) for name, value in reply.headers.raw]
    # httpx has decompressed the body of an error.
    dropped = _DROPPED_HEADERS | ({b"content-encoding"} if reply.status_code >= _FIRST_ERROR else set())
    return [(name, value) for name, value in headers if name not in dropped]


class _CountedReply(StreamingResponse):
    """Passes a provider's reply on to the agent and reads its usage. `settle` is called even if a reply breaks off."""

    def __init__(
        self,
        reply: httpx.Response,
        settle: Settle,
        observe: Observe,
        on_bytes: Callable[[], None],
        report_fault: ReportFault,
    ) -> None:
        super().__init__(self._chunks(), reply.status_code)
        self.raw_headers = _headers(reply)
        self._reply, self._settle, self._report_fault = reply, settle, report_fault
        self._observe, self._on_bytes = observe, on_bytes
        self._reader = usage_reader(reply.headers.get("content-type", ""))

    async def _chunks(self) -> AsyncIterator[bytes]:
        async for chunk in self._reply.aiter_raw():
            self._on_bytes()
            self._reader.feed(chunk)
            yield chunk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except (OSError, ClientDisconnect):
            raise  # the agent closed the connection
        except Exception as error:
            self._report_fault(error)
            raise
        finally:
            self._settle(self._reply.status_code, self._reader)
            self._observe(self._reader.error or (None if self._reader.is_final else cut_off()))
            await self._reply.aclose()
