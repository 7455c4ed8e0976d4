"""TLS for servers on loopback, with a certificate authority that only the test trusts."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import trustme

from deployments.local.loopback import LoopbackServer


@contextmanager
def by_tls(server: LoopbackServer, authority: trustme.CA) -> Iterator[str]:
    """Serve over TLS with a certificate of this authority; yield the server's https URL."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
    with server:
        yield server.url.replace("http://127.0.0.1", "https://localhost")
