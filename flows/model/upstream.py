"""Sends requests to the provider, with this machine's proxies and CA certificates, with timeouts and safe retries."""

import asyncio
from typing import Final

import httpx

from flows.certificates import ca_certificates

_TIMEOUT: Final = httpx.Timeout(connect=10, read=600, write=60, pool=None)
_RETRY_DELAYS_SECONDS: Final = (0.2, 1.0)


def client() -> httpx.AsyncClient:
    """Return a client that uses HTTPS_PROXY, NO_PROXY and this machine's CA certificates, and follows no redirects."""
    return httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False, verify=ca_certificates())


async def send(http: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    """Send a request and return the reply, its body still unread. Send again if the connection fails before a reply.

    A reply with an error status is not retried here, because Claude Code retries it, and honours `retry-after`.
    """
    request.extensions = {"timeout": _TIMEOUT.as_dict()}
    for delay in _RETRY_DELAYS_SECONDS:
        try:
            return await http.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ReadError, httpx.RemoteProtocolError):
            await asyncio.sleep(delay)
    return await http.send(request, stream=True)
