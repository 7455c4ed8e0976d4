"""S3 and Secrets Manager at the distance of another region: every response is delayed, and unchanging ones are cached.

This server stands in front of moto, which needs milliseconds of CPU time per object; without the cache the bench would
measure moto. Each object and listing is requested from moto once. After that it is served from memory, 30 ms after the
request, to any number of clients at once. All other requests are passed on.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import httpx

DELAY_SECONDS: Final = 0.03
_HEAD_END: Final = b"\r\n\r\n"
_RESPONSE_HEADERS: Final = frozenset(
    {"content-type", "etag", "last-modified", "accept-ranges", "x-amz-version-id", "x-amz-bucket-region"}
)


@dataclass
class FarS3:
    """The server and its counters."""

    origin: str
    delay_seconds: float = DELAY_SECONDS
    requests: int = 0
    url: str = ""
    cache: dict[tuple[bytes, bytes, bytes], bytes] = field(default_factory=dict)
    origin_client: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(trust_env=False, timeout=60))

    async def answer(self, line: bytes, headers: dict[bytes, bytes], body: bytes) -> bytes:
        """Return the complete response to a request."""
        method, target, _ = line.split(b" ", 2)
        key = method, target, headers.get(b"range", b"")
        response = self.cache.get(key)
        if response is None:
            response = await self._request_origin(method, target, headers, body)
            if method in {b"GET", b"HEAD"}:
                self.cache[key] = response
        return response

    async def _request_origin(self, method: bytes, target: bytes, headers: dict[bytes, bytes], body: bytes) -> bytes:
        hop_by_hop = {b"host", b"connection", b"accept-encoding", b"content-length", b"transfer-encoding", b"expect"}
        forwarded_headers = {
            name.decode(): value.decode("latin-1") for name, value in headers.items() if name not in hop_by_hop
        }
        url = self.origin + target.decode("latin-1")
        response = await self.origin_client.request(method.decode(), url, headers=forwarded_headers, content=body)
        size = response.headers.get("content-length", "0") if method == b"HEAD" else str(len(response.content))
        response_headers = [
            f"{name}: {value}" for name, value in response.headers.items() if name.lower() in _RESPONSE_HEADERS
        ]
        head = "\r\n".join(
            [f"HTTP/1.1 {response.status_code} {response.reason_phrase}", *response_headers, f"content-length: {size}"]
        )
        return head.encode("latin-1") + _HEAD_END + (b"" if method == b"HEAD" else response.content)


class _Connection(asyncio.Protocol):
    """One client's connection. Its requests are answered in order, as HTTP/1.1 requires."""

    def __init__(self, server: FarS3) -> None:
        self._server, self._buffer = server, bytearray()
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(_HEAD_END)) >= 0:
            line, *rows = bytes(self._buffer[:end]).split(b"\r\n")
            pairs = (row.split(b":", 1) for row in rows)
            headers = {name.lower(): value.strip() for name, value in pairs}
            size = int(headers.get(b"content-length", b"0"))
            if headers.get(b"expect") and len(self._buffer) < end + 4 + size:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                del headers[b"expect"]
            if len(self._buffer) < end + 4 + size:
                return
            body = bytes(self._buffer[end + 4 : end + 4 + size])
            del self._buffer[: end + 4 + size]
            self._respond(line, headers, body)

    def _respond(self, line: bytes, headers: dict[bytes, bytes], body: bytes) -> None:
        server = self._server
        server.requests += 1
        method, target, _ = line.split(b" ", 2)
        response = server.cache.get((method, target, headers.get(b"range", b"")))
        if response is not None:
            self._loop.call_later(server.delay_seconds, self._transport.write, response)
        else:
            self._task = self._loop.create_task(self._respond_from_origin(line, headers, body))

    async def _respond_from_origin(self, line: bytes, headers: dict[bytes, bytes], body: bytes) -> None:
        response, _ = await asyncio.gather(
            self._server.answer(line, headers, body), asyncio.sleep(self._server.delay_seconds)
        )
        self._transport.write(response)


@contextmanager
def far_s3(origin: str, delay_seconds: float = DELAY_SECONDS) -> Iterator[FarS3]:
    """Serve on a free port of loopback, in a thread, while the context is open."""
    server = FarS3(origin, delay_seconds)
    loop = asyncio.new_event_loop()
    listener = loop.run_until_complete(loop.create_server(lambda: _Connection(server), "127.0.0.1", 0, backlog=512))
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever, name="far-s3", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        listener.close()
        loop.close()
