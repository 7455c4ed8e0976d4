"""S3 and Secrets Manager as from a region away: each answer waits, and what does not change is remembered.

It stands before moto, which takes milliseconds of processor for an object: without the memory the bench would measure
moto. Objects and listings are asked of moto once, and given from memory after that, 30 ms later, to as many at a time
as ask. All else is passed on as it comes.
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
_PASSED_BACK: Final = frozenset(
    {"content-type", "etag", "last-modified", "accept-ranges", "x-amz-version-id", "x-amz-bucket-region"}
)


@dataclass
class FarS3:
    """The server, and what it counted."""

    origin: str
    delay_seconds: float = DELAY_SECONDS
    requests: int = 0
    url: str = ""
    remembered: dict[tuple[bytes, bytes, bytes], bytes] = field(default_factory=dict)
    passed_on: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(trust_env=False, timeout=60))

    async def answer(self, line: bytes, headers: dict[bytes, bytes], body: bytes) -> bytes:
        """Return the whole answer to a request."""
        method, target, _ = line.split(b" ", 2)
        key = method, target, headers.get(b"range", b"")
        known = self.remembered.get(key)
        if known is None:
            known = await self._ask(method, target, headers, body)
            if method in {b"GET", b"HEAD"}:
                self.remembered[key] = known
        return known

    async def _ask(self, method: bytes, target: bytes, headers: dict[bytes, bytes], body: bytes) -> bytes:
        hop = {b"host", b"connection", b"accept-encoding", b"content-length", b"transfer-encoding", b"expect"}
        kept = {name.decode(): value.decode("latin-1") for name, value in headers.items() if name not in hop}
        url = self.origin + target.decode("latin-1")
        answer = await self.passed_on.request(method.decode(), url, headers=kept, content=body)
        size = answer.headers.get("content-length", "0") if method == b"HEAD" else str(len(answer.content))
        back = [f"{name}: {value}" for name, value in answer.headers.items() if name.lower() in _PASSED_BACK]
        head = "\r\n".join([f"HTTP/1.1 {answer.status_code} {answer.reason_phrase}", *back, f"content-length: {size}"])
        return head.encode("latin-1") + _HEAD_END + (b"" if method == b"HEAD" else answer.content)


class _Connection(asyncio.Protocol):
    """One client's connection; requests on it are answered one after the other, as HTTP/1.1 has it."""

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
            self._take(line, headers, body)

    def _take(self, line: bytes, headers: dict[bytes, bytes], body: bytes) -> None:
        server = self._server
        server.requests += 1
        method, target, _ = line.split(b" ", 2)
        known = server.remembered.get((method, target, headers.get(b"range", b"")))
        if known is not None:
            self._loop.call_later(server.delay_seconds, self._transport.write, known)
        else:
            self._task = self._loop.create_task(self._late(line, headers, body))

    async def _late(self, line: bytes, headers: dict[bytes, bytes], body: bytes) -> None:
        answer, _ = await asyncio.gather(
            self._server.answer(line, headers, body), asyncio.sleep(self._server.delay_seconds)
        )
        self._transport.write(answer)


@contextmanager
def far_s3(origin: str, delay_seconds: float = DELAY_SECONDS) -> Iterator[FarS3]:
    """Serve on a free port of loopback, in a thread, for as long as the context lasts."""
    server = FarS3(origin, delay_seconds)
    loop = asyncio.new_event_loop()
    listening = loop.run_until_complete(loop.create_server(lambda: _Connection(server), "127.0.0.1", 0, backlog=512))
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever, name="far-s3", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        listening.close()
        loop.close()
