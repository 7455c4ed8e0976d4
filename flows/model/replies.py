"""The model gateway's replies to the agent: the provider's, with their tokens counted, and refusals of its own."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Final

import httpx
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

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
"""Called when a request has ended, with the reply's status and its usage reader; None if there was no reply."""
ReportFault = Callable[[Exception], None]
"""Called with an error, for the run's log."""


def refusal(status: int, message: str) -> JSONResponse:
    """Return an error of the gateway itself, in a form that Claude Code reads for every provider."""
    error = {"type": "gateway_error", "message": message}
    return JSONResponse({"type": "error", "error": error, "message": message}, status)


async def reply_to_agent(reply: httpx.Response, settle: Settle, report_fault: ReportFault) -> Response:
    """Return the response for the agent from the provider's open reply; `settle` is called when the reply ends."""
    if reply.status_code < _FIRST_ERROR:
        return _CountedReply(reply, settle, report_fault)
    async with aclosing(reply):
        content = await _first_bytes(reply)
    settle(reply.status_code, None)
    # Claude Code retries a 401 for three minutes. That does not help, because the credentials are the gateway's.
    status = _FORBIDDEN if reply.status_code == _UNAUTHORIZED else reply.status_code
    # AWS quotes the headers of a request with a wrong signature, and the session token is among them.
    response = Response(SECRETS.redact_bytes(content), status)
    length = (b"content-length", str(len(response.body)).encode())
    response.raw_headers = [*((name, SECRETS.redact_bytes(value)) for name, value in _headers(reply)), length]
    return response


async def _first_bytes(reply: httpx.Response) -> bytes:
    content = b""
    async for part in reply.aiter_bytes():
        content += part
        if len(content) > _MAX_ERROR_BYTES:
            break
    return content[:_MAX_ERROR_BYTES]


def _headers(reply: httpx.Response) -> list[tuple[bytes, bytes]]:
    """Return a reply's headers as bytes, because they need not be text."""
    headers = [(name.lower(), value) for name, value in reply.headers.raw]
    # httpx has decompressed the body of an error.
    dropped = _DROPPED_HEADERS | ({b"content-encoding"} if reply.status_code >= _FIRST_ERROR else set())
    return [(name, value) for name, value in headers if name not in dropped]


class _CountedReply(StreamingResponse):
    """The provider's reply, whose usage is read while it passes through. However it ends, the request is settled."""

    def __init__(self, reply: httpx.Response, settle: Settle, report_fault: ReportFault) -> None:
        super().__init__(self._parts(), reply.status_code)
        self.raw_headers = _headers(reply)
        self._reply, self._settle, self._report_fault = reply, settle, report_fault
        self._reader = usage_reader(reply.headers.get("content-type", ""))

    async def _parts(self) -> AsyncIterator[bytes]:
        async for part in self._reply.aiter_raw():
            self._reader.feed(part)
            yield part

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
            await self._reply.aclose()
