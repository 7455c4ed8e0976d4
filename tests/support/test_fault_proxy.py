"""The proxy breaks off the connections it is told to, and passes all others on unchanged."""

import http.client
import time
from collections.abc import Iterator

import httpx
import pytest

from deployments.local.loopback import Exchange, LoopbackServer, ReceivedRequest
from tests.support.fault_proxy import FaultProxy, How

SIZE = 300_000


class Echo(LoopbackServer):
    """Answers a POST with its body, and a GET with many bytes."""

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        exchange.reply(200, request.body or b"x" * SIZE)


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as server:
        yield server


@pytest.fixture
def proxy(echo: Echo) -> Iterator[FaultProxy]:
    with FaultProxy(echo.url) as proxy:
        yield proxy


def test_bytes_pass_as_they_are_in_both_directions(proxy: FaultProxy) -> None:
    with httpx.Client(base_url=proxy.url, trust_env=False) as client:
        sent = bytes(range(256)) * 5000
        assert client.post("/", content=sent).content == sent
        assert len(client.get("/").content) == SIZE
    assert proxy.connections == 1


def test_each_request_waits_on_a_connection_that_stays_open(echo: Echo) -> None:
    with FaultProxy(echo.url, delay_seconds=0.2) as proxy, httpx.Client(base_url=proxy.url, trust_env=False) as client:
        for _ in range(3):
            started = time.monotonic()
            assert client.post("/", content=b"x" * SIZE).is_success
            assert 0.2 <= time.monotonic() - started < 2
        assert proxy.connections == 1


def get_content(connection: http.client.HTTPConnection) -> bytes:
    connection.request("GET", "/")
    return connection.getresponse().read()


@pytest.mark.parametrize(("how", "error"), [("reset", httpx.ReadError), ("truncate", httpx.RemoteProtocolError)])
def test_a_response_breaks_off(proxy: FaultProxy, how: How, error: type[Exception]) -> None:
    cut = proxy.cut(how, b"GET /the-one", after_bytes=1000)
    with httpx.Client(base_url=proxy.url, trust_env=False) as client:
        assert client.get("/another").is_success
        assert not cut.happened.is_set()
        with client.stream("GET", "/the-one") as answer, pytest.raises(error):
            answer.read()
        assert cut.happened.is_set()
        assert client.get("/the-one").is_success


def test_a_response_falls_silent(proxy: FaultProxy) -> None:
    cut = proxy.cut("stall")
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(proxy.url, timeout=0.5, trust_env=False)
    assert cut.happened.is_set()
    assert httpx.get(proxy.url, trust_env=False).is_success


def test_a_request_breaks_off_before_the_server_has_all_of_it(proxy: FaultProxy, echo: Echo) -> None:
    cut = proxy.cut("reset", b"POST", after_bytes=100, direction="request")
    with pytest.raises(httpx.HTTPError):
        httpx.post(proxy.url, content=b"x" * SIZE, trust_env=False)
    assert cut.happened.is_set()
    assert echo.requests == []


def test_an_unreachable_server_refuses_connections_and_returns_at_the_same_address(proxy: FaultProxy) -> None:
    connection = http.client.HTTPConnection(proxy.url.removeprefix("http://"))
    get_content(connection)
    url = proxy.url
    with proxy.unreachable():
        with pytest.raises(httpx.ConnectError):
            httpx.get(url, trust_env=False)
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            get_content(connection)
    assert httpx.get(url, trust_env=False).is_success
