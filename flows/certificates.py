"""Checks the files of CA certificates that environment variables name, and loads them for this process's clients."""

import configparser
import os
import ssl
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from flows.errors import InvalidCertificates

CA_FILE: Final = "SSL_CERT_FILE"
"""The variable by which an operator names the CA certificates for everything that a run does."""

_FOLDERS: Final = ("SSL_CERT_DIR", "GIT_SSL_CAPATH")
_FILES: Final = (
    CA_FILE,
    "AWS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
)
_READ_BY_GIT: Final = ("GIT_SSL_CAINFO", "GIT_SSL_CAPATH")
_READ_BY_HTTPX: Final = (CA_FILE, "SSL_CERT_DIR")
_ADDED: Final = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
"""Further variables that name files of CA certificates. Machines behind a TLS proxy set such variables."""
_AWS: Final = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
_ADVICE: Final = "set it to a file of CA certificates in PEM format, or unset it"


def check_certificates(environment: Mapping[str, str]) -> None:
    """Check that each file and folder of CA certificates exists and can be used.

    Raises:
        InvalidCertificates: A file or folder does not exist, cannot be read, or a file holds no certificate.
    """
    for name in _FOLDERS:
        if (path := environment.get(name)) and not os.access(path, os.R_OK | os.X_OK):
            raise InvalidCertificates(
                f"{name} is {path!r}, which is not a folder that can be read: correct or unset it"
            )
    for path in {path: None for name in _FILES if (path := environment.get(name))}:
        if reason := _fault(Path(path)):
            names = ", ".join(name for name in _FILES if environment.get(name) == path)
            raise InvalidCertificates(f"{names} is {path!r}: {reason}: {_ADVICE}")


def _fault(path: Path) -> str:
    """Return what is wrong with a file of CA certificates; empty if it can be used."""
    if path.is_dir():  # requests and botocore accept a folder, too
        return ""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        return "the file holds no certificate"
    except OSError as error:
        return f"the file cannot be read ({error.strerror})"
    return ""


def ca_certificates() -> ssl.SSLContext:
    """Return a TLS context that trusts this machine's CA certificates. The first call takes 20 to 50 ms."""
    return _ca_certificates(*(os.environ.get(name, "") for name in _READ_BY_HTTPX + _ADDED))


@cache
def _ca_certificates(_file: str, _folder: str, *added_files: str) -> ssl.SSLContext:
    import httpx  # noqa: PLC0415 (the checks above run before anything slow is imported)

    context = httpx.create_ssl_context()
    for path in added_files:
        if path and Path(path).is_file():
            context.load_verify_locations(path)
    return context


def git_server_certificates() -> ssl.SSLContext:
    """Return a TLS context that trusts this machine's CA certificates, and those that only git reads."""
    names = (*_READ_BY_GIT, *_READ_BY_HTTPX)
    file, folder, *others = (os.environ.get(name, "") for name in names)
    return _git_server_certificates(file, folder, *others) if file or folder else ca_certificates()


@cache
def _git_server_certificates(file: str, folder: str, *_read_by_httpx: str) -> ssl.SSLContext:
    import httpx  # noqa: PLC0415 (as above)

    context = httpx.create_ssl_context()
    context.load_verify_locations(file or None, folder or None)
    return context


def set_aws_certificates(environment: MutableMapping[str, str]) -> None:
    """Set AWS_CA_BUNDLE to the value of SSL_CERT_FILE, which AWS's libraries do not read.

    If AWS has CA certificates of its own, by a variable or by `ca_bundle` in the profile, they are left as they are.
    """
    for name in _AWS:
        if environment.get(name) == "":  # botocore refuses an empty value
            del environment[name]
    certificates = environment.get(CA_FILE)
    if certificates and not any(name in environment for name in _AWS) and not _profile_has_certificates(environment):
        environment["AWS_CA_BUNDLE"] = certificates


def _profile_has_certificates(environment: Mapping[str, str]) -> bool:
    """Return whether the AWS profile in use has `ca_bundle`. botocore prefers a variable to it."""
    profile = environment.get("AWS_PROFILE") or environment.get("AWS_DEFAULT_PROFILE") or "default"
    files = (
        environment.get("AWS_CONFIG_FILE") or "~/.aws/config",
        environment.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials",
    )
    parser = configparser.RawConfigParser(strict=False)
    # botocore reports a file that cannot be read.
    with suppress(configparser.Error, OSError, UnicodeDecodeError):
        parser.read(map(os.path.expanduser, files), encoding="utf-8")
    return any(parser.has_option(section, "ca_bundle") for section in (profile, f"profile {profile}"))
