"""Guesses the address that a user probably meant, so that the message about a refused address can suggest it.

No function in this module returns the part of a URL before an @, because that part may be a password or a token.
"""

import re
from typing import Final
from urllib.parse import unquote, urlsplit

_SCP: Final = re.compile(r"(?:[^\s/@:]+@)?(?P<host>[\w.-]+\.[\w-]+):(?P<path>(?!//)[^\s@]+)", re.ASCII)
"""Matches the short form of ssh addresses, such as git@github.com:owner/repository.git."""

_CODECOMMIT: Final = re.compile(r"codecommit::(?P<region>[a-z0-9-]+)://(?:[^\s/@]+@)?(?P<name>[\w.-]+)", re.ASCII)
_WITHOUT_SCHEME: Final = re.compile(r"(?:[\w-]+\.)+[a-z]{2,}(?::\d+)?/[^\s@]+", re.ASCII)
_SSH_SCHEMES: Final = frozenset({"ssh", "git", "git+ssh", "ssh+git", "git+https"})
_HTTPS_HOSTS: Final = {
    "ssh.github.com": "github.com",
    "altssh.gitlab.com": "gitlab.com",
    "altssh.bitbucket.org": "bitbucket.org",
}
"""The names of forges' ssh servers, each with the name of the same forge's https server."""

_AZURE_SSH_HOSTS: Final = frozenset({"ssh.dev.azure.com", "vs-ssh.visualstudio.com"})
_AZURE_SSH_PATH: Final = re.compile(r"/?v3/(?P<organisation>[^/]+)/(?P<project>[^/]+)/(?P<repository>[^/]+)")
_S3_ARN: Final = re.compile(r"arn:aws[a-z-]*:s3:::(?P<address>.+)")
_S3_HOST: Final = re.compile(r"(?:(?P<bucket>.+)\.)?s3[.-](?:[a-z0-9-]+\.)*amazonaws\.com(?:\.cn)?")


def https_address(text: str) -> str:
    """Return the https URL for a repository address of another kind, such as ssh; empty if the address is unclear."""
    text = re.sub(r"(?<=\S) (?=\S)", "%20", text.strip())
    if match := _CODECOMMIT.fullmatch(text):
        return f"https://git-codecommit.{match['region']}.amazonaws.com/v1/repos/{match['name']}"
    if "://" in text:
        return _from_url(text)
    if match := _SCP.fullmatch(text):
        return _from_ssh(match["host"], match["path"])
    return f"https://{text}" if _WITHOUT_SCHEME.fullmatch(text) else ""


def _from_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if parts.scheme in _SSH_SCHEMES:
        return _from_ssh(host, parts.path)
    if parts.scheme not in {"http", "https"} or not host:
        return ""
    is_default_port = port is None or (parts.scheme, port) == ("http", 80)
    return f"https://{host if is_default_port else f'{host}:{port}'}{parts.path}"


def _from_ssh(host: str, path: str) -> str:
    host = _HTTPS_HOSTS.get(host.lower(), host)
    if host in _AZURE_SSH_HOSTS or host.endswith(".vs-ssh.visualstudio.com"):
        match = _AZURE_SSH_PATH.fullmatch(path)
        return (
            f"https://dev.azure.com/{match['organisation']}/{match['project']}/_git/{match['repository']}"
            if match
            else ""
        )
    return f"https://{host}/{path.lstrip('/')}" if host else ""


def s3_address(text: str) -> str:
    """Return the s3:// URI for a misspelt s3:// URI, an S3 web address or an S3 ARN; empty for any other text."""
    text = text.strip()
    if match := re.fullmatch(r"(?i:s3)://?(?P<address>[^/].*)", text):
        return f"s3://{match['address']}"
    if match := _S3_ARN.fullmatch(text):
        return f"s3://{match['address']}"
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    match = _S3_HOST.fullmatch(parts.hostname or "")
    if match is None or parts.scheme not in {"http", "https"}:
        return ""
    bucket = f"/{match['bucket']}" if match["bucket"] else ""
    return f"s3:/{bucket}{unquote(parts.path)}"
