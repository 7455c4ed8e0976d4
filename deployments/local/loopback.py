"""A small HTTP server on 127.0.0.1 that runs in a thread. It records the requests that it receives."""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self


@dataclass(frozen=True)
class ReceivedRequest:
    """An HTTP request, as the server received it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Exchange(BaseHTTPRequestHandler):
    """The handler of one connection. The server answers a request with `reply`, or in parts with `chunk`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm: ClassVar[bool] = True
    server: "_Server"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """Print no log line: the server already records its requests."""

    def do_GET(self) -> None:
        """Record the request, and pass it to the server's method `answer`."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = ReceivedRequest(self.command, self.path, headers, self._body())
        self.server.requests.append(request)
        with suppress(ConnectionError):
            self.server.answer(request, self)

    do_POST = do_PUT = do_PATCH = do_HEAD = do_GET  # noqa: N815 (the base class's names)

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Send a complete response; the default content type is JSON."""
        self.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def chunk(self, data: bytes) -> None:
        """Send one chunk of a chunked response; an empty chunk ends the response."""
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def drop(self) -> None:
        """Close the connection without completing the response."""
        self.close_connection = True
        self.connection.close()

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        chunks = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer: Callable[[ReceivedRequest, Exchange], None]) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.answer = answer
        self.requests: list[ReceivedRequest] = []

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 (the base class's types)
        """Print no traceback: a client may close its connection at any time."""


class LoopbackServer:
    """Base class of the local servers: a context manager with a URL and a list of the received requests."""

    def __init__(self) -> None:
        self._server = _Server(self.answer)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        """The server's URL: scheme, host and port."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def requests(self) -> list[ReceivedRequest]:
        """The requests that the server has received so far."""
        return self._server.requests

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        """Answer one request; subclasses implement this method."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
