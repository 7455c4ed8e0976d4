"""Sends requests to the provider, with this machine's proxies and CA certificates, with timeouts and safe retries."""

import asyncio
import os
import ssl
from functools import cache
from pathlib import Path
from typing import Final

import httpx

_TIMEOUT: Final = httpx.Timeout(connect=10, read=600, write=60, pool=None)
_RETRY_DELAYS_SECONDS: Final = (0.2, 1.0)
_CA_VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Environment variables for CA certificates that httpx itself reads."""
_EXTRA_CA_VARIABLES: Final = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
"""Other environment variables that name files of CA certificates. Machines behind a TLS proxy set such variables."""


def client() -> httpx.AsyncClient:
    """Return a client that uses HTTPS_PROXY, NO_PROXY and this machine's CA certificates, and follows no redirects."""
    return httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False, verify=ca_certificates())


def ca_certificates() -> ssl.SSLContext:
    """Return a TLS context that trusts this machine's CA certificates. The first call takes 20 to 50 ms."""
    return _ca_certificates(*(os.environ.get(name, "") for name in _CA_VARIABLES + _EXTRA_CA_VARIABLES))


@cache
def _ca_certificates(_file: str, _folder: str, *extra_files: str) -> ssl.SSLContext:
    context = httpx.create_ssl_context()
    for path in extra_files:
        if path and Path(path).is_file():
            context.load_verify_locations(path)
    return context


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
