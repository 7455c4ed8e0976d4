"""Parses and checks repository URLs, S3 URIs and branch names before a run uses them.

The rules are stricter than git's and S3's on purpose: only text that has passed these checks reaches a command line or
a request.
"""

import ipaddress
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import SplitResult, unquote, urlsplit

from flows.errors import InvalidBranchName, InvalidRepoUrl, InvalidS3Uri
from flows.parameters.address_hints import https_address, s3_address
from flows.redaction import strip
from flows.text_safety import ASCII_CONTROLS, is_encodable

ALLOW_PRIVATE_HOSTS: Final = "ALLOW_PRIVATE_GIT_HOSTS"
"""Environment variable of the flow's process. If it is `true`, `repo_url` may name a private or link-local address."""

REPO_URL_PATTERN: Final = r"http(s|(?=://(localhost|127\.|\[::1\])))://[^\s/@?#]+/[^\s?#]+"
_BUCKET_PATTERN: Final = "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
S3_URI_PATTERN: Final = rf"s3://{_BUCKET_PATTERN}/([^*]*|([^*]*/)?\*)"
BRANCH_PATTERN: Final = r"(?!-|/|refs/)(?!.*(\.\.|//|@\{|/\.|/$|\.$|\.lock$))[^\s~^:?*\[\\]+"
"""This pattern and the patterns for URLs above are for Prefect's form. They mean the same in JavaScript and Python, and
match every text that passes the checks."""

_UNPRINTABLE = re.compile(rf"[\s{ASCII_CONTROLS}\\]")
_NETLOC = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z_]([0-9a-z._-]*[0-9a-z_.])?)(:\d+)?", re.IGNORECASE | re.ASCII)
_BUCKET = re.compile(_BUCKET_PATTERN)
_CONTROLS = re.compile(f"[{ASCII_CONTROLS}]")
_BRANCH_FORBIDDEN = re.compile(rf"[\s{ASCII_CONTROLS}~^:?*\[\\]|\.\.|@\{{|//")
_BRANCH_MAX_BYTES = 200


@dataclass(frozen=True)
class RepoUrl:
    """The https URL of a git repository, without credentials. An http URL is accepted only for a loopback address."""

    url: str
    origin: str
    """Scheme, host and port of the URL. The token is sent to no other origin."""
    path: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the parsed URL. If `text` is not accepted, raise `InvalidRepoUrl` with the reason and a suggestion."""
        try:
            return cls._parse(text)
        except InvalidRepoUrl as error:
            if url := cls._suggestion_for(text):
                raise InvalidRepoUrl(f"{error}; set it to {url}") from None
            raise

    @classmethod
    def _suggestion_for(cls, text: str) -> str:
        """Return an acceptable URL that the refused text probably stands for; empty if none can be guessed."""
        url = https_address(text) if is_encodable(text) else ""
        if not url or "@" in url:
            return ""
        try:
            return cls._parse(url).url
        except InvalidRepoUrl:
            return ""

    @classmethod
    def _parse(cls, text: str) -> Self:
        if not text:
            raise InvalidRepoUrl("repo_url is empty: give the https URL of a git repository")
        parts = _split_url(text)
        _check_host(text, parts)
        if parts.query or parts.fragment or "?" in text or "#" in text:
            raise InvalidRepoUrl(f"repo_url {_quote(text)} has a query or a fragment: give the plain clone URL")
        path = parts.path.rstrip("/")
        decoded = unquote(path)
        if not path or _UNPRINTABLE.search(decoded.replace(" ", "")) or ".." in decoded.split("/"):
            raise InvalidRepoUrl(
                f"repo_url {_quote(text)} does not name a repository: give https://host/owner/repository.git"
            )
        origin = f"{parts.scheme}://{parts.netloc}"
        return cls(url=origin + path, origin=origin, path=path)

    @property
    def name(self) -> str:
        """The last part of the path, without `.git`."""
        return self.path.rsplit("/", 1)[-1].removesuffix(".git")

    def __str__(self) -> str:
        return self.url


def _split_url(text: str) -> SplitResult:
    if _UNPRINTABLE.search(text) or not is_encodable(text):
        raise InvalidRepoUrl(f"repo_url {_quote(text)} has white space or control characters: give a plain https URL")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise InvalidRepoUrl(f"repo_url {_quote(text)} is not a URL: give https://host/owner/repository.git") from None
    if parts.scheme not in {"https", "http"} or not text.startswith(f"{parts.scheme}://"):
        raise InvalidRepoUrl(f"repo_url {_quote(text)} is not an https URL: ssh and git URLs and files are refused")
    if "@" in parts.netloc:
        raise InvalidRepoUrl("repo_url has a user name or a password: put the token into the git credentials secret")
    if not _NETLOC.fullmatch(parts.netloc) or port == 0:
        raise InvalidRepoUrl(
            f"repo_url {_quote(text)} does not name a valid host: give https://host/owner/repository.git"
        )
    return parts


def _quote(text: str) -> str:
    """Return a URL in quotes, for a message. If an @, ? or # shows that it may hold a secret, return a note instead."""
    return "(not shown, because it may contain a password)" if re.search("[@?#]", text) else repr(text)


def _check_host(text: str, parts: SplitResult) -> None:
    host = parts.hostname or ""
    address: ipaddress.IPv4Address | ipaddress.IPv6Address | None = None
    with suppress(ValueError):
        address = ipaddress.ip_address(host)
    # curl reads 2852039166 and 0xa9.0xfe.0xa9.0xfe as 169.254.169.254. Such spellings of an address are refused.
    if address is None and re.fullmatch(r"\d+|0x[0-9a-f]*", host.rstrip(".").rpartition(".")[2]):
        raise InvalidRepoUrl(f"repo_url {_quote(text)} has an IP address in an unusual notation: use a host name")
    if host == "localhost" or (address is not None and address.is_loopback):
        return
    if parts.scheme == "http":
        raise InvalidRepoUrl(f"repo_url {_quote(text)} would send the token unencrypted: use https")
    internal = address is not None and not address.is_global
    if internal and strip(os.environ.get(ALLOW_PRIVATE_HOSTS, "")).lower() != "true":
        raise InvalidRepoUrl(
            f"repo_url {_quote(text)} has a private address: use a host name, or ask the operator to set "
            f"{ALLOW_PRIVATE_HOSTS}=true"
        )


@dataclass(frozen=True)
class S3Uri:
    """The URI of one object, or of all objects below a prefix (`s3://bucket/prefix/` or `s3://bucket/prefix/*`)."""

    bucket: str
    key: str
    """The key of the object. For a folder: the prefix that the keys of its objects share, which is empty or ends in a
    slash."""
    is_folder: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the parsed URI; if it is not accepted, raise `InvalidS3Uri` with the reason."""
        example = "give s3://bucket/file.md, or s3://bucket/folder/* for every object in the folder"
        if not text.startswith("s3://"):
            without_query = text.partition("?")[0]  # the query of a presigned URL is a credential
            if text.startswith(("https://", "http://")):
                example += "; the address of an issue is given in instructions"
            raise InvalidS3Uri(
                f"instructions_s3_uri {without_query!r} does not start with s3://: {_s3_uri_advice(text) or example}"
            )
        bucket, _, key = text.removeprefix("s3://").partition("/")
        if not _BUCKET.fullmatch(bucket) or ".." in bucket:
            raise InvalidS3Uri(f"instructions_s3_uri {text!r} has no valid bucket name: {example}")
        is_folder = key == "*" or key.endswith("/*") or text.endswith("/")
        key = key.removesuffix("*") if is_folder else key
        if not key and not is_folder:
            raise InvalidS3Uri(f"instructions_s3_uri {text!r} does not name an object: {example}")
        if "*" in key:
            raise InvalidS3Uri(f"instructions_s3_uri {text!r} has a * that is not alone after its last /: {example}")
        if _CONTROLS.search(key) or not is_encodable(key):
            raise InvalidS3Uri(f"instructions_s3_uri {text!r} has control characters: {example}")
        return cls(bucket, key, is_folder)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}{'*' if self.is_folder else ''}"


def _s3_uri_advice(text: str) -> str:
    """Return advice with an acceptable URI that the refused text probably stands for; empty if none can be guessed."""
    try:
        return f"set it to {S3Uri.parse(uri)}" if (uri := s3_address(text)).startswith("s3://") else ""
    except InvalidS3Uri:
        return ""


def check_branch_name(name: str, parameter: str = "branch_name") -> str:
    """Return `name` if it is a valid branch name; raise `InvalidBranchName` with the reason if it is not.

    The rules are those of `git check-ref-format --branch`, and five more. A name must not start with `refs/`, be
    `HEAD`, be `@`, contain white space that git would allow, or have more than 200 bytes in UTF-8.
    """
    reason = _branch_fault(name)
    if reason:
        raise InvalidBranchName(f"{parameter} {name!r} {reason} (example: feature/todo-api)")
    return name


def _branch_fault(name: str) -> str:
    components = name.split("/")
    forbidden = _BRANCH_FORBIDDEN.search(name)
    faults = {
        "is empty": not name,
        "cannot be encoded as UTF-8": not is_encodable(name),
        f"is longer than {_BRANCH_MAX_BYTES} bytes": len(name.encode("utf-8", "replace")) > _BRANCH_MAX_BYTES,
        "is a name that git reserves": name in {"@", "HEAD"} or name.startswith(("-", "refs/")),
        f"has {forbidden.group()!r}, which git does not allow" if forbidden else "": forbidden is not None,
        "has a part that is empty, starts with a dot, or ends in a dot or .lock": name.endswith(".")
        or any(not c or c.startswith(".") or c.endswith(".lock") for c in components),
    }
    return next((reason for reason, applies in faults.items() if applies), "")
