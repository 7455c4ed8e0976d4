"""Defines the model gateway: an HTTP server on 127.0.0.1 that Claude Code calls instead of the provider.

The gateway holds the credentials, so that the agent needs none. The agent only has a token for this run, which gives
access to the run's own model through this gateway. The gateway does not change the content of requests and successful
replies, and passes streamed replies on without buffering them.
"""

import asyncio
import logging
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from flows.errors import RunError
from flows.model import upstream
from flows.model.forwarder import Forwarder
from flows.model.meter import Meter
from flows.model.provider_error import ProviderError
from flows.model.providers import ModelProvider
from flows.redaction import GATEWAY_TOKEN, SECRETS

_LOGGER: Final = logging.getLogger(__name__)
_STOP_SECONDS: Final = 10
_KEEP_ALIVE_SECONDS: Final = 900
"""Seconds for which an idle connection stays open for the next request: longer than any shell command of the agent."""


@dataclass(frozen=True)
class Gateway:
    """A running gateway, with its address and the token that it requires."""

    url: str
    token: str
    _forwarder: Forwarder

    @property
    def error(self) -> RunError | None:
        """Why the run's credentials cannot be used; None if the last request was signed."""
        return self._forwarder.error

    @property
    def provider_error(self) -> ProviderError | None:
        """Why the last message to the model failed, in the provider's words; None if the reply ended well."""
        return self._forwarder.provider_error

    @property
    def last_byte_at(self) -> float:
        """When the last part of a provider's reply arrived, in seconds of the monotonic clock; 0 before the first."""
        return self._forwarder.last_byte_at


@contextmanager
def gateway(
    provider: ModelProvider, meter: Meter, report: Callable[[str], object] = _LOGGER.warning
) -> Iterator[Gateway]:
    """Run a gateway to `provider` on a free port of 127.0.0.1 until the context ends, and yield it.

    Args:
        provider: The run's provider, with its credentials.
        meter: Counts the replies and their cost.
        report: Called with the redacted text of each error, for the run's log. The agent never sees this text.
    """
    token = secrets.token_urlsafe(32)
    SECRETS.learn(GATEWAY_TOKEN, token, is_for_agent=True)
    listener = socket.create_server(("127.0.0.1", 0))
    # Connections inherit this option. Without it, each reply waits 40 ms for the acknowledgement of its headers.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    forwarder = Forwarder(provider, meter, token, report)
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
        yield Gateway(f"http://127.0.0.1:{listener.getsockname()[1]}", token, forwarder)
    finally:
        server.should_exit = True
        # uvicorn takes a fifth of a second to stop. Waiting is only useful while a reply is not yet counted.
        if not forwarder.close():
            thread.join(_STOP_SECONDS)
            listener.close()


def _application(forwarder: Forwarder) -> Starlette:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        forwarder.loop = asyncio.get_running_loop()
        async with upstream.client() as forwarder.client:
            yield

    return Starlette(
        routes=[Route("/{path:path}", forwarder.answer, methods=["GET", "HEAD", "POST"])], lifespan=lifespan
    )
