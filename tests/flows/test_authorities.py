"""Authorities are loaded once, by whoever comes first, and nobody is trusted who was not before."""

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import trustme

from deployments.local.loopback import Asked, Exchange, LoopbackServer
from flows.authorities import SharedContext, create_default_context
from tests.support.tls import by_tls

CLIENTS_OF_PREFECT = """
import ssl

loads, load = [], ssl.SSLContext.load_verify_locations
ssl.SSLContext.load_verify_locations = lambda context, *files, **named: loads.append(load(context, *files, **named))

from flows.runtime.startup import importing

with importing():
    import prefect.flow_engine
from prefect.client.orchestration import get_client

modes = [get_client(sync_client=sync)._client._transport._pool._ssl_context.verify_mode for sync in (True, False)]
print(len(loads), *map(int, modes), int(ssl.create_default_context().verify_mode))
"""


class Hello(LoopbackServer):
    def answer(self, asked: Asked, exchange: Exchange) -> None:
        del asked
        exchange.reply(200, b"hello")


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, str]:
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return made, str(tmp_path / "ca.pem")


@pytest.fixture
def url(authority: tuple[trustme.CA, str]) -> Iterator[str]:
    with by_tls(Hello(), authority[0]) as made:
        yield made


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The files that OpenSSL was told to load."""
    made: list[object] = []
    load = ssl.SSLContext.load_verify_locations

    def noted(self: ssl.SSLContext, cafile: str | None = None, *more: str | None) -> None:
        made.append(cafile)
        load(self, cafile, *more)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", noted)
    return made


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "1 2 2 2"),
        # Clients that check nothing, as they are told to, and all others as before.
        ({"PREFECT_API_TLS_INSECURE_SKIP_VERIFY": "true"}, "1 0 0 2"),
    ],
)
def test_prefect_and_its_clients_load_them_once(settings: dict[str, str], expected: str) -> None:
    said = subprocess.run(
        [sys.executable, "-c", CLIENTS_OF_PREFECT],
        env={**os.environ, **settings}, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert said.strip() == expected


def test_clients_of_many_threads_share_what_was_loaded(
    authority: tuple[trustme.CA, str], url: str, loads: list[object]
) -> None:
    def ask(_: int) -> str:
        with httpx.Client(verify=create_default_context(cafile=authority[1]), trust_env=False) as client:
            return client.get(url).text

    ask(0)
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(ask, range(16))) == {"hello"}
    assert loads == [authority[1]]


def test_who_is_not_in_the_file_is_not_trusted(url: str, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "another.pem"))
    another = create_default_context(cafile=str(tmp_path / "another.pem"))
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(url, verify=another, trust_env=False)


def test_each_file_has_a_context_of_its_own_and_no_file_a_new_one(authority: tuple[trustme.CA, str]) -> None:
    mine = create_default_context(cafile=authority[1])
    assert create_default_context(cafile=authority[1]) is mine
    assert create_default_context() is not create_default_context()
    assert create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority[1]) is not mine


def test_what_a_shared_context_is_told_again_it_does_not_do_again(
    authority: tuple[trustme.CA, str], loads: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    offered: list[object] = []
    monkeypatch.setattr(ssl.SSLContext, "set_alpn_protocols", lambda _, protocols: offered.append(protocols))
    context = SharedContext.of(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    for _ in range(2):
        context.load_verify_locations(authority[1])
        context.set_alpn_protocols(["http/1.1"])
    context.set_alpn_protocols(["http/1.1", "h2"])
    assert loads == [authority[1]]
    assert offered == [["http/1.1"], ["http/1.1", "h2"]]
    assert len(context.get_ca_certs()) == 1
