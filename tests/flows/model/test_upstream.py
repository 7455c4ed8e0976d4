"""The gateway uses the host's proxy and certificates to connect to a provider that uses TLS."""

import select
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import trustme
from pydantic import SecretStr

from deployments.local.scripted_model import ScriptedModel
from flows.model.gateway import gateway
from flows.model.gateway_token import GATEWAY_TOKEN_HEADER
from flows.model.meter import Meter
from flows.model.prices import ModelPrice
from flows.model.providers import Anthropic
from flows.parameters.provider import DEFAULT_MODEL_IDS
from tests.support.tls import by_tls

SONNET = DEFAULT_MODEL_IDS["anthropic"]
MESSAGE = {"model": SONNET, "max_tokens": 9, "messages": []}


class Connect(socketserver.StreamRequestHandler):
    """Handles one tunnel of an HTTP proxy."""

    server: "Proxy"

    def handle(self) -> None:
        target = self.rfile.readline().split()[1].decode()
        while self.rfile.readline().strip():
            pass
        self.server.targets.append(target)
        host, _, port = target.partition(":")
        with socket.create_connection((host, int(port))) as upstream:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            peers = {self.connection: upstream, upstream: self.connection}
            while True:
                for readable in select.select(list(peers), [], [])[0]:
                    if not (data := readable.recv(2**16)):
                        return
                    peers[readable].sendall(data)


class Proxy(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Connect)
        self.targets: list[str] = []


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def certificate_authority(tmp_path: Path) -> tuple[trustme.CA, Path]:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return ca, tmp_path / "ca.pem"


@contextmanager
def provider(authority: trustme.CA) -> Iterator[str]:
    """Serve the scripted model by TLS; yield its address."""
    with by_tls(ScriptedModel("the-api-key", "AKID", "secret"), authority) as url:
        yield url


def send_message(base_url: str) -> httpx.Response:
    meter = Meter(ModelPrice.of("anthropic", SONNET))
    with gateway(Anthropic(SecretStr("the-api-key"), SONNET, base_url), meter) as server:
        headers = {GATEWAY_TOKEN_HEADER: server.token}
        return httpx.post(f"{server.url}/v1/messages", json=MESSAGE, headers=headers, trust_env=False)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"])
def test_the_hosts_own_ca_is_trusted(
    certificate_authority: tuple[trustme.CA, Path], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(certificate_authority[1]))
    with provider(certificate_authority[0]) as url:
        assert send_message(url).status_code == 200


def test_a_ca_that_the_host_does_not_name_is_not_trusted(
    certificate_authority: tuple[trustme.CA, Path], caplog: pytest.LogCaptureFixture
) -> None:
    with provider(certificate_authority[0]) as url:
        response = send_message(url)
    assert response.status_code == 502
    assert "connection error" in response.text
    assert "CERTIFICATE_VERIFY_FAILED" not in response.text
    assert "CERTIFICATE_VERIFY_FAILED" in caplog.text


def test_the_hosts_proxy_is_used_unless_no_proxy_excludes_the_provider(
    certificate_authority: tuple[trustme.CA, Path], proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate_authority[1]))
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.server_address[1]}")
    monkeypatch.delenv("NO_PROXY")
    with provider(certificate_authority[0]) as url:
        assert send_message(url).status_code == 200
        assert proxy.targets == [url.removeprefix("https://")]
        monkeypatch.setenv("NO_PROXY", "localhost")
        assert send_message(url).status_code == 200
    assert len(proxy.targets) == 1
