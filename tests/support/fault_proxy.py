"""A TCP proxy on 127.0.0.1 that can be as slow, and break off as suddenly, as a network does.

It knows no protocol: what a client sends after the server has answered counts as its next request, which is how
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
"""socket(7)'s SO_LINGER of no time at all: what is closed so answers with a reset."""

How = Literal["reset", "stall", "truncate"]
Of = Literal["request", "response"]


@dataclass
class Cut:
    """The end of one connection: a reset, an end in the middle, or silence."""

    how: How
    when: bytes = b""
    """What a request has to hold for it to be this one's, such as `git-receive-pack HTTP`."""
    after_bytes: int = 0
    """How many bytes still pass: of what comes with `when`, or of the answer to it."""
    of: Of = "response"
    happened: threading.Event = field(default_factory=threading.Event)


class FaultProxy:
    """Passes connections on to a server, as a context; how well it does may be changed at any time.

    Args:
        target: The server's URL.
        delay_seconds: How long each request waits before it is passed on.
    """

    def __init__(self, target: str, delay_seconds: float = 0) -> None:
        self.delay_seconds = delay_seconds
        self.cuts: list[Cut] = []
        """What is to happen to requests that match; each happens once, in order."""
        self.connections = 0
        """How many there were."""
        self._target = urlsplit(target)
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """What to give out in place of the server's own URL."""
        return self._target._replace(netloc=f"127.0.0.1:{self._port}").geturl()

    def cut(self, how: How, when: bytes = b"", *, after_bytes: int = 0, of: Of = "response") -> Cut:
        """Cut the next request that matches; whether it was is to be seen at what is returned."""
        self.cuts.append(made := Cut(how, when, after_bytes, of))
        return made

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Break off what is open and refuse connections, for as long as the context lasts."""
        self._run(self._close())
        try:
            yield
        finally:
            self._run(self._listen())

    def break_off(self) -> None:
        """Reset every connection that is open."""
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
        for task in (left := list(self._open)):
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._pass_on(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        to = None
        try:
            answers, to = await asyncio.open_connection(self._target.hostname, self._target.port)
            await _Connection(self, reader, writer, answers, to).last()
        except (OSError, asyncio.CancelledError):
            _reset(writer)
        finally:
            for end in (writer, to):
                if end:
                    end.close()


class _Connection:
    """One connection, with the request that is under way on it."""

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

    async def last(self) -> None:
        """Return when it is over."""
        both = [asyncio.ensure_future(self._ask()), asyncio.ensure_future(self._answer())]
        try:
            await asyncio.wait([*both, over := asyncio.ensure_future(self._over.wait())], return_when="FIRST_COMPLETED")
            if not over.done() and both[0].done() and not both[1].done():
                await both[1]  # the client has said all that it has to say
        finally:
            for task in (*both, over):
                task.cancel()
            await asyncio.gather(*both, over, return_exceptions=True)

    async def _ask(self) -> None:
        while chunk := await self._requests.read(_CHUNK_BYTES):
            if self._is_answered:
                self._is_answered = False
                await asyncio.sleep(self._proxy.delay_seconds)
            self._look_at(chunk)
            await self._send(self._server, chunk, "request")
        with suppress(OSError):
            self._server.write_eof()

    async def _answer(self) -> None:
        while chunk := await self._answers.read(_CHUNK_BYTES):
            self._is_answered = True
            await self._send(self._client, chunk, "response")

    def _look_at(self, chunk: bytes) -> None:
        match = next((cut for cut in self._proxy.cuts if cut.when in chunk), None)
        if match and self._cut is None:
            self._proxy.cuts.remove(match)
            self._cut, self._left = match, match.after_bytes

    async def _send(self, to: asyncio.StreamWriter, chunk: bytes, what: Of) -> None:
        cut = self._cut if self._cut and self._cut.of == what else None
        to.write(chunk[: self._left] if cut else chunk)
        await to.drain()
        if cut:
            self._left -= len(chunk)
            if self._left < 0 or cut.after_bytes == 0:
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
