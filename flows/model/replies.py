"""What the model gateway answers: the provider's replies, counted as they pass, and refusals in words of its own."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Final

import httpx
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from flows.model.usage import UsageReader, usage_reader
from flows.redaction import SECRETS

_NOT_SENT_BACK: Final = frozenset(
    {b"connection", b"transfer-encoding", b"content-length", b"set-cookie", b"keep-alive"}
)
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_FIRST_ERROR: Final = 400
_MAX_ERROR_BYTES: Final = 2**20

Settle = Callable[[int, UsageReader | None], None]
"""Takes a request's end: the reply's status, and what read its usage; none where no reply came."""
Tell = Callable[[Exception], None]
"""Takes what failed, for the run's log."""


def refusal(status: int, message: str) -> JSONResponse:
    """Return an error of the gateway's own, as both providers' clients read it."""
    error = {"type": "gateway_error", "message": message}
    return JSONResponse({"type": "error", "error": error, "message": message}, status)


async def reply_to_agent(reply: httpx.Response, settle: Settle, tell: Tell) -> Response:
    """Return the agent's answer from the provider's open reply; when it is sent, or breaks off, it is settled."""
    if reply.status_code < _FIRST_ERROR:
        return _Passed(reply, settle, tell)
    async with aclosing(reply):
        content = await _start_of(reply)
    settle(reply.status_code, None)
    # Claude Code tries a 401 again for three minutes; credentials that we sign with do not get better by that.
    status = _FORBIDDEN if reply.status_code == _UNAUTHORIZED else reply.status_code
    # AWS quotes the headers of a request whose signature is wrong, and the session token is among them.
    answer = Response(SECRETS.redact_bytes(content), status)
    length = (b"content-length", str(len(answer.body)).encode())
    answer.raw_headers = [*((name, SECRETS.redact_bytes(value)) for name, value in _headers(reply)), length]
    return answer


async def _start_of(reply: httpx.Response) -> bytes:
    content = b""
    async for part in reply.aiter_bytes():
        content += part
        if len(content) > _MAX_ERROR_BYTES:
            break
    return content[:_MAX_ERROR_BYTES]


def _headers(reply: httpx.Response) -> list[tuple[bytes, bytes]]:
    """Return a reply's headers, as bytes: they need not be text."""
    headers = [(name.lower(), value) for name, value in reply.headers.raw]
    unpacked = {b"content-encoding"} if reply.status_code >= _FIRST_ERROR else set()
    return [(name, value) for name, value in headers if name not in _NOT_SENT_BACK | unpacked]


class _Passed(StreamingResponse):
    """The provider's answer, counted as it passes; it is settled however it ends."""

    def __init__(self, reply: httpx.Response, settle: Settle, tell: Tell) -> None:
        super().__init__(self._parts(), reply.status_code)
        self.raw_headers = _headers(reply)
        self._reply, self._settle, self._tell = reply, settle, tell
        self._reader = usage_reader(reply.headers.get("content-type", ""))

    async def _parts(self) -> AsyncIterator[bytes]:
        async for part in self._reply.aiter_raw():
            self._reader.feed(part)
            yield part

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except (OSError, ClientDisconnect):
            raise  # the agent went away
        except Exception as error:
            self._tell(error)
            raise
        finally:
            self._settle(self._reply.status_code, self._reader)
            await self._reply.aclose()
