"""The model gateway: a server on loopback that Claude Code talks to in place of the provider.

It holds the credentials, so that the agent needs none. What the agent has is a token of this run, good for the
run's own model through this gateway and for nothing else. Bodies pass through as they are, streams unbuffered.
"""

import asyncio
import hmac
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from flows.claude.command import GATEWAY_TOKEN_HEADER
from flows.claude.providers import ModelProvider
from flows.errors import RunError

_TIMEOUT: Final = httpx.Timeout(connect=10, read=600, write=60, pool=None)
_STOP_SECONDS: Final = 10
_KEEP_ALIVE_SECONDS: Final = 900
"""Longer than a shell command of the agent, so that its next request does not meet a closing connection."""
_NOT_SENT_ON: Final = frozenset(
    {
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "authorization",
        "x-api-key",
        "cookie",
        GATEWAY_TOKEN_HEADER,
    }
)
_NOT_SENT_BACK: Final = frozenset({"connection", "transfer-encoding", "content-length", "set-cookie", "keep-alive"})


@dataclass(frozen=True)
class Gateway:
    """A running gateway: its address, and the token that it asks for."""

    url: str
    token: str


@contextmanager
def gateway(provider: ModelProvider) -> Iterator[Gateway]:
    """Serve `provider` on a free port of 127.0.0.1 for as long as the context lasts."""
    token = secrets.token_urlsafe(32)
    listener = socket.create_server(("127.0.0.1", 0))
    app = _application(provider, provider.base_url, token)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
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
        thread.join(_STOP_SECONDS)
        listener.close()


def _application(provider: ModelProvider, base_url: str, token: str) -> Starlette:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
        async with httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False) as client:
            yield {"client": client}

    async def forward(request: Request) -> Response:
        if not hmac.compare_digest(request.headers.get(GATEWAY_TOKEN_HEADER, ""), token):
            return _refusal(403, "this gateway serves one run's agent only")
        path, body = request.scope["raw_path"].decode("ascii"), await request.body()
        if not provider.admits(request.method, path, body):
            return _refusal(403, "this gateway lets through the run's own model only")
        try:
            return await _send(request.state.client, await _signed(provider, base_url, path, request, body))
        except httpx.HTTPError as error:
            return _refusal(502, f"connection error: the provider did not answer: {type(error).__name__}: {error}")
        except RunError as error:
            return _refusal(403, str(error))

    return Starlette(routes=[Route("/{path:path}", forward, methods=["GET", "HEAD", "POST"])], lifespan=lifespan)


async def _signed(provider: ModelProvider, base_url: str, path: str, request: Request, body: bytes) -> httpx.Request:
    query = request.scope["query_string"].decode("ascii")
    url = f"{base_url}{path}{'?' + query if query else ''}"
    headers = {name: value for name, value in request.headers.items() if name not in _NOT_SENT_ON}
    content_type = headers.get("content-type", "application/json")
    # Refreshing a role's credentials may wait for the network, and must not hold up the streams.
    signature = await asyncio.to_thread(provider.signature, request.method, url, content_type, body)
    return httpx.Request(request.method, url, headers={**headers, **signature}, content=body, extensions=_extensions())


def _extensions() -> dict[str, dict[str, float | None]]:
    return {"timeout": _TIMEOUT.as_dict()}


async def _send(client: httpx.AsyncClient, request: httpx.Request) -> Response:
    answer = await client.send(request, stream=True)
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in _NOT_SENT_BACK}
    # Claude Code tries a 401 again for three minutes; credentials that we sign with do not get better by that.
    status = 403 if answer.status_code == 401 else answer.status_code  # noqa: PLR2004
    return StreamingResponse(answer.aiter_raw(), status, headers, background=BackgroundTask(answer.aclose))


def _refusal(status: int, message: str) -> JSONResponse:
    return JSONResponse(
        {"type": "error", "error": {"type": "gateway_error", "message": message}, "message": message}, status
    )
