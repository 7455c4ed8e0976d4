"""A TCP proxy on 127.0.0.1 that can be slow and break connections off, as a network does.

It knows no protocol. Bytes that a client sends after the server has answered count as its next request; this is how
requests are told apart on a connection that stays open.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

_CHUNK_BYTES: Final = 2**16
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with a timeout of zero, see socket(7): closing the socket sends a reset."""

How = Literal["reset", "stall", "truncate"]
Direction = Literal["request", "response"]


@dataclass
class Cut:
    """How one connection ends early: with a reset, with a truncated message, or in silence."""

    how: How
    when: bytes = b""
    """The cut applies to the first request that contains these bytes, for example `git-receive-pack HTTP`."""
    after_bytes: int = 0
    """How many bytes of the request, or of its response, pass before the cut."""
    direction: Direction = "response"
    happened: threading.Event = field(default_factory=threading.Event)


class FaultProxy:
    """Passes connections on to a server while its context is open; delay and cuts can be changed at any time.

    Args:
        target: The server's URL.
        delay_seconds: How long each request waits before it is passed on.
    """

    def __init__(self, target: str, delay_seconds: float = 0) -> None:
        self.delay_seconds = delay_seconds
        self.cuts: list[Cut] = []
        """The cuts still to make. Each is made once, on the first request that matches it."""
        self.connections = 0
        """How many connections the proxy has accepted."""
        self._target = urlsplit(target)
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The proxy's URL, to use instead of the server's own."""
        return self._target._replace(netloc=f"127.0.0.1:{self._port}").geturl()

    def cut(self, how: How, when: bytes = b"", *, after_bytes: int = 0, direction: Direction = "response") -> Cut:
        """Cut the next request that matches; return the cut, whose `happened` event tells when it was made."""
        self.cuts.append(cut := Cut(how, when, after_bytes, direction))
        return cut

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Reset open connections and refuse new ones while the context is open."""
        self._run(self._close())
        try:
            yield
        finally:
            self._run(self._listen())

    def break_off(self) -> None:
        """Reset every open connection."""
        self._run(self._break_off())

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self._port, backlog=128)
        self._port = self._listener.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._listener.close()
        await self._break_off()

    async def _break_off(self) -> None:
        for task in (open_tasks := list(self._open)):
            task.cancel()
        await asyncio.gather(*open_tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._pass_on(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        server_writer = None
        try:
            server_reader, server_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
            await _Connection(self, reader, writer, server_reader, server_writer).run()
        except (OSError, asyncio.CancelledError):
            _reset(writer)
        finally:
            for writer_to_close in (writer, server_writer):
                if writer_to_close:
                    writer_to_close.close()


class _Connection:
    """One connection and the request in progress on it."""

    def __init__(
        self,
        proxy: FaultProxy,
        requests: asyncio.StreamReader,
        client: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        server: asyncio.StreamWriter,
    ) -> None:
        self._proxy, self._requests, self._client = proxy, requests, client
        self._answers, self._server = answers, server
        self._is_answered = True
        self._cut: Cut | None = None
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Pass bytes in both directions until the connection is over."""
        tasks = [asyncio.ensure_future(self._pass_requests()), asyncio.ensure_future(self._pass_responses())]
        try:
            await asyncio.wait(
                [*tasks, over_task := asyncio.ensure_future(self._over.wait())], return_when="FIRST_COMPLETED"
            )
            if not over_task.done() and tasks[0].done() and not tasks[1].done():
                await tasks[1]  # the client has sent everything; the response may still be on its way
        finally:
            for task in (*tasks, over_task):
                task.cancel()
            await asyncio.gather(*tasks, over_task, return_exceptions=True)

    async def _pass_requests(self) -> None:
        while chunk := await self._requests.read(_CHUNK_BYTES):
            if self._is_answered:
                self._is_answered = False
                await asyncio.sleep(self._proxy.delay_seconds)
            self._match_cut(chunk)
            await self._send(self._server, chunk, "request")
        with suppress(OSError):
            self._server.write_eof()

    async def _pass_responses(self) -> None:
        while chunk := await self._answers.read(_CHUNK_BYTES):
            self._is_answered = True
            await self._send(self._client, chunk, "response")

    def _match_cut(self, chunk: bytes) -> None:
        match = next((cut for cut in self._proxy.cuts if cut.when in chunk), None)
        if match and self._cut is None:
            self._proxy.cuts.remove(match)
            self._cut, self._remaining_bytes = match, match.after_bytes

    async def _send(self, writer: asyncio.StreamWriter, chunk: bytes, direction: Direction) -> None:
        cut = self._cut if self._cut and self._cut.direction == direction else None
        writer.write(chunk[: self._remaining_bytes] if cut else chunk)
        await writer.drain()
        if cut:
            self._remaining_bytes -= len(chunk)
            if self._remaining_bytes < 0 or cut.after_bytes == 0:
                await self._end(cut)

    async def _end(self, cut: Cut) -> None:
        cut.happened.set()
        if cut.how == "stall":
            await asyncio.Event().wait()
        if cut.how == "reset":
            _reset(self._client)
            _reset(self._server)
        self._over.set()
        await asyncio.Event().wait()


def _reset(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
