"""A client sends the token in the right form, to the API alone, with this machine's proxy and certificates."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trustme
from pydantic import SecretStr

from flows.errors import ForgeUnavailable
from flows.forges.api import client
from flows.forges.api.base import PullRequestDraft
from flows.forges.api.table import open_api
from tests.support.forges.azure import AzureStandIn
from tests.support.forges.bitbucket import BitbucketStandIn
from tests.support.forges.fixtures import serve
from tests.support.forges.github import GitHubStandIn
from tests.support.forges.stand_in import EMAIL, ForgeStandIn
from tests.support.tls import by_tls

DRAFT = PullRequestDraft("a", "b", "work", "main")


@pytest.mark.parametrize(
    ("kind", "token"),
    [(BitbucketStandIn, "ATATT3xFfGF0-api-token"), (AzureStandIn, "eyJhbGciOi.eyJzdWIi.c2lnbmF0dXJl")],
    ids=["an API token of Atlassian", "a token of Entra"],
)
def test_the_kind_of_a_token_decides_how_it_is_sent(kind: type[ForgeStandIn], token: str) -> None:
    with serve(kind, token) as (_, api):
        assert api.find("work", "main") == []


def test_a_token_goes_to_the_api_alone() -> None:
    with GitHubStandIn() as forge, GitHubStandIn() as other:
        url = forge.repo_url
        with open_api(url, SecretStr(forge.token), EMAIL, forge="github") as api:  # below the repository's origin
            api.create(DRAFT)
            api.add_labels(1, ["bot"])
        assert {request.headers["authorization"] for request in forge.requests} == {f"Bearer {forge.token}"}
        assert all(forge.token not in request.path for request in forge.requests)
        assert other.requests == []


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "GIT_SSL_CAINFO", "REQUESTS_CA_BUNDLE"])
def test_an_api_with_a_private_certificate_is_used_if_the_machine_trusts_its_authority(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    forge = GitHubStandIn()
    with by_tls(forge, authority) as url:
        repository, token = f"{url}/acme/widgets.git", SecretStr(forge.token)
        with open_api(repository, token, forge="github") as api, pytest.raises(ForgeUnavailable, match="SSL_CERT_FILE"):
            api.find("work", "main")
        monkeypatch.setenv(variable, str(tmp_path / "ca.pem"))
        with open_api(repository, token, forge="github") as api:
            assert api.find("work", "main") == []
        forge.check_contract()


def test_the_proxy_of_the_machine_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with GitHubStandIn() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "")
        url = "http://127.0.0.2/acme/widgets.git"
        with open_api(url, SecretStr(proxy.token), forge="github") as api:
            api.create(DRAFT)
        assert [request.path for request in proxy.requests] == ["http://127.0.0.2/api/v3/repos/acme/widgets/pulls"]


@contextmanager
def dripping(first: bytes, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve an answer that begins with some bytes, and goes on for ever, a few bytes at a time."""
    ended = threading.Event()

    def serve_one(listener: socket.socket) -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            with context.wrap_socket(connection, server_side=True) if context else connection as stream:
                stream.recv(65536)
                stream.sendall(first)
                while not ended.wait(0.05):
                    stream.sendall(b"x: y\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve_one, args=(listener,))
        thread.start()
        yield f"{'https' if context else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
        ended.set()
        thread.join()


@pytest.mark.parametrize("first", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["headers", "body"])
@pytest.mark.parametrize("has_tls", [False, True], ids=["http", "https"])
def test_an_answer_that_comes_a_few_bytes_at_a_time_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, first: bytes, *, has_tls: bool
) -> None:
    monkeypatch.setattr(client, "_ANSWER_SECONDS", 1)
    context = None
    if has_tls:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
    with (
        dripping(first, context) as url,
        open_api(f"{url}/o/r", SecretStr("a-token-of-the-tests"), forge="github") as api,
        pytest.raises(ForgeUnavailable, match="did not answer"),
    ):
        api.find("work", "main")
