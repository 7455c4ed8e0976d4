"""The gateway's way to the provider: proxies and certificates of the host, timeouts, and tries of what cannot hurt."""

import asyncio
import os
import ssl
from functools import cache
from pathlib import Path
from typing import Final

import httpx

_TIMEOUT: Final = httpx.Timeout(connect=10, read=600, write=60, pool=None)
_RETRY_DELAYS_SECONDS: Final = (0.2, 1.0)
_CAS: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_EXTRA_CAS: Final = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
"""Where hosts behind a TLS proxy name its certificate; httpx itself reads the two above."""


def client() -> httpx.AsyncClient:
    """Return a client that honours HTTPS_PROXY, NO_PROXY and the host's certificates, and follows no redirect."""
    return httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False, verify=authorities())


def authorities() -> ssl.SSLContext:
    """Return what certificates are checked by; the first time that takes 20 to 50 ms."""
    return _authorities(*(os.environ.get(name, "") for name in _CAS + _EXTRA_CAS))


@cache
def _authorities(_file: str, _folder: str, *extra: str) -> ssl.SSLContext:
    context = httpx.create_ssl_context()
    for path in extra:
        if path and Path(path).is_file():
            context.load_verify_locations(path)
    return context


async def send(to: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    """Send a request, and again where its connection failed before an answer; return the answer with its body open.

    What the provider answers, also that it is overloaded, is Claude Code's to try again: it reads `retry-after`.
    """
    request.extensions = {"timeout": _TIMEOUT.as_dict()}
    for delay in _RETRY_DELAYS_SECONDS:
        try:
            return await to.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ReadError, httpx.RemoteProtocolError):
            await asyncio.sleep(delay)
    return await to.send(request, stream=True)
