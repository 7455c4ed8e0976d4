"""Gives the agent's processes this machine's way to the network: its proxies and its CA certificates."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from flows.certificates import CA_FILE
from flows.sandbox.workspace import Workspace

_CA_FILES: Final = (
    "CARGO_HTTP_CAINFO",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
)
"""Variables of single programs for a file of CA certificates. Those that are not set get the value of SSL_CERT_FILE."""

_CA_FOLDER: Final = "SSL_CERT_DIR"
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
"""Addresses that are never requested through a proxy: the model gateway, and servers that the agent starts."""

_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def network_variables(workspace: Workspace, host: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables for proxies and CA certificates.

    Args:
        workspace: The run's directories. A file of certificates that the agent's user cannot read is copied there.
        host: The environment of the flow's process.
    """
    return {**_proxies(host), **_certificates(workspace, host)}


def proxies_with_credentials(host: Mapping[str, str]) -> list[str]:
    """Return the proxy variables that the agent does not get, because their addresses hold a user or a password."""
    return sorted(name for name in host if name.upper() in _PROXIES and "@" in host[name])


def _proxies(host: Mapping[str, str]) -> dict[str, str]:
    withheld = proxies_with_credentials(host)
    proxies = {name: host[name] for name in host if name.upper() in _PROXIES and host[name] and name not in withheld}
    if not proxies:
        return {}
    exceptions = host.get("no_proxy") or host.get("NO_PROXY", "")
    if exceptions.strip() != "*":
        names = [name.strip() for name in exceptions.split(",") if name.strip()]
        exceptions = ",".join([*names, *(name for name in _LOOPBACK if name not in names)])
    return {**proxies, "NO_PROXY": exceptions, "no_proxy": exceptions}


def _certificates(workspace: Workspace, host: Mapping[str, str]) -> dict[str, str]:
    general = host.get(CA_FILE, "")
    files = {name: host.get(name) or general for name in (CA_FILE, *_CA_FILES)}
    paths = sorted({path for path in files.values() if path})
    readable = {path: _readable_by_agent(workspace, Path(path), f"ca-{n}.pem") for n, path in enumerate(paths)}
    folder = {_CA_FOLDER: host[_CA_FOLDER]} if host.get(_CA_FOLDER) else {}
    return {**folder, **{name: readable[path] for name, path in files.items() if path}}


def _readable_by_agent(workspace: Workspace, file: Path, copy_name: str) -> str:
    """Return a path at which the agent can read the file: its own path, or that of a copy."""
    file = file.absolute()
    if file.is_dir() or workspace.agent.can(["test", "-r", str(file)]):
        return str(file)
    return str(workspace.lend(workspace.config / copy_name, file.read_bytes()))
