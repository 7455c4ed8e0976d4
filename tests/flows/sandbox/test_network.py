"""The agent's way to the network: proxies without credentials, and CA certificates that it can read."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from deployments.local.loopback import Exchange, LoopbackServer, ReceivedRequest
from flows.sandbox.network import network_variables, proxies_with_credentials
from flows.sandbox.workspace import Workspace, workspace
from tests.support.tls import by_tls

PROXY = "http://proxy.example.com:3128"
LOOPBACK = "127.0.0.1,localhost,::1"
CA_VARIABLES = {
    "SSL_CERT_FILE", "CARGO_HTTP_CAINFO", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS", "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
}  # fmt: skip
CLIENTS = {
    "curl": "curl -sS {url}",
    "git": "git ls-remote {url}/r.git && echo -n hello",
    "node": "node -e \"require('https').get('{url}', r => r.pipe(process.stdout))\"",
    "python3": "python3 -c \"import urllib.request as r; print(r.urlopen('{url}').read().decode(), end='')\"",
    "requests": "python3 -c \"from pip._vendor import requests; print(requests.get('{url}').text, end='')\"",
}


@pytest.fixture
def directories() -> Iterator[Workspace]:
    with workspace() as own:
        yield own


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_a_proxy_without_credentials_reaches_the_agent_and_loopback_never_uses_it(
    name: str, directories: Workspace
) -> None:
    assert network_variables(directories, {name: PROXY}) == {name: PROXY, "NO_PROXY": LOOPBACK, "no_proxy": LOOPBACK}


@pytest.mark.parametrize("address", ["http://u:p@proxy:1", "http://token@proxy:1", "u:p@proxy:1", "http://u:p%40@h:1"])
def test_a_proxy_with_credentials_does_not_reach_the_agent(address: str, directories: Workspace) -> None:
    host = {"HTTPS_PROXY": address, "http_proxy": PROXY}
    assert proxies_with_credentials(host) == ["HTTPS_PROXY"]
    assert network_variables(directories, host).keys() == {"http_proxy", "NO_PROXY", "no_proxy"}
    assert network_variables(directories, {"HTTPS_PROXY": address, "NO_PROXY": "x"}) == {}


@pytest.mark.parametrize(
    ("host", "exceptions"),
    [
        ({"NO_PROXY": "a.example, .corp"}, f"a.example,.corp,{LOOPBACK}"),
        ({"no_proxy": "b", "NO_PROXY": "a"}, f"b,{LOOPBACK}"),
        ({"NO_PROXY": "localhost,127.0.0.1"}, "localhost,127.0.0.1,::1"),
        ({"NO_PROXY": "*"}, "*"),
    ],
    ids=["names", "lower case", "loopback", "all"],
)
def test_the_hosts_exceptions_from_the_proxy_stay(
    host: dict[str, str], exceptions: str, directories: Workspace
) -> None:
    variables = network_variables(directories, {"HTTPS_PROXY": PROXY, **host})
    assert variables["NO_PROXY"] == variables["no_proxy"] == exceptions


def test_one_variable_names_the_certificates_for_all_programs_and_their_own_variables_win(
    directories: Workspace,
) -> None:
    public, own = "/etc/ssl/certs/ca-certificates.crt", "/etc/hostname"
    assert network_variables(directories, {"SSL_CERT_FILE": public}) == dict.fromkeys(CA_VARIABLES, public)
    variables = network_variables(directories, {"SSL_CERT_FILE": public, "PIP_CERT": own, "SSL_CERT_DIR": "/etc/ssl"})
    assert variables == {**dict.fromkeys(CA_VARIABLES, public), "PIP_CERT": own, "SSL_CERT_DIR": "/etc/ssl"}
    assert network_variables(directories, {"PIP_CERT": own}) == {"PIP_CERT": own}
    assert network_variables(directories, {"SSL_CERT_FILE": "", "HTTPS_PROXY": ""}) == {}


class Hello(LoopbackServer):
    """Answers every request with `hello`."""

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        del request
        exchange.reply(200, b"hello", {"content-type": "text/plain"})


@pytest.mark.parametrize("client", CLIENTS)
def test_a_program_of_the_agent_trusts_a_company_ca_whose_file_it_cannot_read(
    client: str, directories: Workspace, tmp_path: Path
) -> None:
    probe = "from pip._vendor import requests" if client == "requests" else ""
    if not shutil.which(client) and _output(directories, f"python3 -c '{probe}' && echo -n yes", "", {}) != "yes":
        pytest.skip(f"{client} is not installed")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    (tmp_path / "ca.pem").chmod(0o600)
    variables = network_variables(directories, {"SSL_CERT_FILE": str(tmp_path / "ca.pem")})
    if directories.agent.uid is not None:
        assert Path(variables["SSL_CERT_FILE"]).parent == directories.config
    with by_tls(Hello(), authority) as url:
        assert _output(directories, CLIENTS[client], url, variables) == "hello"
        assert _output(directories, CLIENTS[client], url, {}) != "hello"


def _output(directories: Workspace, command: str, url: str, variables: dict[str, str]) -> str:
    environment = {"PATH": os.environ["PATH"], **directories.agent_variables, **variables}
    line = command.replace("{url}", url).replace("{python}", "python3")
    argv = directories.agent.argv(["bash", "-c", line])
    completed = subprocess.run(
        argv, env=environment, cwd=directories.work_tree, check=False, capture_output=True, text=True
    )
    return completed.stdout
