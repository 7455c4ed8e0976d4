"""Speaks Git LFS's Batch API with the server of the run's repository, and moves objects from and to it.

The API is at the repository's own address, whatever .lfsconfig says. Only requests to the API carry the git token. The
requests to the addresses in its answers carry the headers in these answers, and nothing else.
(https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md)
"""

import base64
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin

import httpx

from flows.errors import GitAuthFailed, LfsFailed, LfsObjectMissing, LfsUnavailable, RunError
from flows.repository.lfs_addresses import check_address, origin_of
from flows.repository.lfs_http import REASON_LENGTH, body_of, http_client, read_answer, reason_in, wait_in
from flows.repository.lfs_pointers import Pointer
from flows.repository.remote import Remote

_MEDIA_TYPE: Final = "application/vnd.git-lfs+json"
_BATCH: Final = 100
"""How many objects one request asks for. Servers refuse requests for many more."""

_REDIRECTS: Final = 3
_OWN_HEADERS: Final = frozenset({"host", "connection", "content-length", "transfer-encoding"})
"""Headers that the HTTP client sets itself."""

_GONE: Final = frozenset({404, 410})
_DENIED: Final = frozenset({401, 403})
_TEMPORARY: Final = frozenset({408, 425, 429})
_SERVER_ERROR: Final = 500
_ERROR: Final = 300


@dataclass(frozen=True)
class Action:
    """A request that the server allows for one object."""

    href: str
    headers: Mapping[str, str]


@contextmanager
def lfs_server(remote: Remote) -> Iterator["LfsServer"]:
    """Yield a client for the LFS server of a repository."""
    with http_client() as http:
        yield LfsServer(remote, http)


@dataclass(frozen=True)
class LfsServer:
    """A client for the LFS server of one repository. Its methods can be called by several threads at a time.

    Each method can raise these errors:
        LfsUnavailable: The server did not answer, or said that it is overloaded.
        GitAuthFailed: The server refused the token.
        LfsFailed: The server gave an answer that cannot be used.
    """

    remote: Remote
    http: httpx.Client

    def actions(self, operation: str, pointers: Mapping[str, Pointer]) -> Iterator[tuple[str, dict[str, Action]]]:
        """Yield each path with the actions that the server allows for the path's object, such as `download`.

        Args:
            operation: `download` or `upload`.
            pointers: The objects, each by the path of a file.

        Raises:
            LfsObjectMissing: The server does not have an object.
        """
        rows = list(pointers.items())
        for start in range(0, len(rows), _BATCH):
            portion = dict(rows[start : start + _BATCH])
            answers = self._batch(operation, list(portion.values()))
            for path, pointer in portion.items():
                yield path, self._actions(path, pointer, answers.get(pointer.oid))

    def download(self, path: str, pointer: Pointer, action: Action, target: Path) -> None:
        """Download an object to a file, which exists only once its size and its digest are right."""
        url, headers = action.href, action.headers
        for _ in range(_REDIRECTS + 1):
            with self._exchange("GET", url, headers={"Accept-Encoding": "identity", **headers}) as response:
                if not response.has_redirect_location:
                    self._check(path, response, "download")
                    _write(path, pointer, response, target)
                    return
                redirected = _redirected(url, response)
            # A server with object storage behind it redirects to a signed address. Its own headers are not for that.
            headers = headers if origin_of(redirected) == origin_of(url) else {}
            url = redirected
        raise LfsFailed(f"{path!r}: {origin_of(url)} redirects again and again: turn lfs off")

    def upload(self, path: str, pointer: Pointer, actions: Mapping[str, Action], content: bytes) -> None:
        """Upload an object, and tell the server if it asked for that."""
        action = actions["upload"]
        headers = {"Content-Type": "application/octet-stream", **action.headers}
        with self._exchange("PUT", action.href, headers=headers, content=content) as response:
            self._check(path, response, "upload")
        if verify := actions.get("verify"):
            body = json.dumps({"oid": pointer.oid, "size": pointer.size}).encode()
            headers = {"Accept": _MEDIA_TYPE, "Content-Type": _MEDIA_TYPE, **verify.headers}
            with self._exchange("POST", verify.href, headers=headers, content=body) as response:
                self._check(path, response, "verify")

    def _batch(self, operation: str, pointers: Sequence[Pointer]) -> dict[str, dict[str, Any]]:
        """Return the server's answer for each object, by the object's id."""
        objects = [{"oid": pointer.oid, "size": pointer.size} for pointer in dict.fromkeys(pointers)]
        body = json.dumps({"operation": operation, "transfers": ["basic"], "objects": objects}).encode()
        headers = {"Accept": _MEDIA_TYPE, "Content-Type": _MEDIA_TYPE, "Accept-Encoding": "identity"}
        url = f"{self.remote.url.url.removesuffix('.git')}.git/info/lfs/objects/batch"
        with self._exchange("POST", url, headers=headers, content=body, auth=self.remote.login) as response:
            content = read_answer(response)
            if response.status_code >= _ERROR:
                raise self._refusal(response, content)
        try:
            answer = json.loads(content)
            rows = {row["oid"]: dict(row) for row in answer["objects"]}
            transfer = answer.get("transfer", "basic")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise LfsFailed(
                f"{self.remote.url} gave no answer in the form of Git LFS's Batch API: check that the server has Git "
                "LFS, or turn lfs off"
            ) from None
        if transfer != "basic":
            raise LfsFailed(f"the LFS server of {self.remote.url} has no transfer of the kind basic: turn lfs off")
        return rows

    def _refusal(self, response: httpx.Response, content: bytes) -> RunError:
        """Return the error for a refused request to the Batch API."""
        url, status, reason = self.remote.url, response.status_code, reason_in(content)
        if status in _DENIED:
            return GitAuthFailed(
                f"the LFS server of {url} refused the token (status {status}{reason}): check that the token may read "
                "and write the repository, and the quota of the owner for Git LFS; or turn lfs off"
            )
        if status in _TEMPORARY or status >= _SERVER_ERROR:
            return LfsUnavailable(
                f"the LFS server of {url} is not available (status {status}{wait_in(response)}{reason})"
            )
        if status in _GONE:
            return LfsFailed(f"{url} has no Git LFS: turn it on for the repository at its host, or turn lfs off")
        if response.has_redirect_location:
            return LfsFailed(
                f"the LFS server of {url} redirects to {origin_of(_redirected(url.url, response))}, "
                "and the token is not sent there: set repo_url to the new address, or turn lfs off"
            )
        return LfsFailed(f"the LFS server of {url} refused a request (status {status}{reason}): turn lfs off")

    def _actions(self, path: str, pointer: Pointer, answer: dict[str, Any] | None) -> dict[str, Action]:
        if answer is None:
            raise LfsFailed(f"the LFS server of {self.remote.url} gave no answer about {path!r}: turn lfs off")
        try:
            if error := answer.get("error"):
                raise self._object_error(path, pointer, int(error["code"]), str(error.get("message", "")))
            return {name: self._action(row) for name, row in (answer.get("actions") or {}).items()}
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            raise LfsFailed(
                f"the LFS server of {self.remote.url} gave an unreadable answer about {path!r}: turn lfs off"
            ) from None

    def _object_error(self, path: str, pointer: Pointer, status: int, message: str) -> RunError:
        reason = f"status {status}: {message[:REASON_LENGTH]}"
        if status in _GONE:
            return missing_object(path, pointer, reason)
        if status in _TEMPORARY or status >= _SERVER_ERROR:
            return LfsUnavailable(f"the LFS server of {self.remote.url} cannot serve {path!r} now ({reason})")
        return LfsFailed(f"the LFS server of {self.remote.url} refused {path!r} ({reason}): turn lfs off")

    def _action(self, row: Mapping[str, Any]) -> Action:
        """Return an action; raise `LfsFailed` if it would send the git token to another server than the repository's.

        Some servers put the Authorization header that they got into the answer. That is right for their own address.
        """
        headers = {str(name): str(value) for name, value in (row.get("header") or {}).items()}
        headers = {name: value for name, value in headers.items() if name.lower() not in _OWN_HEADERS}
        action = Action(str(row["href"]), headers)
        username, token = self.remote.login
        basic = base64.b64encode(f"{username}:{token}".encode()).decode()
        is_own = origin_of(action.href) == origin_of(self.remote.url.origin)
        if not is_own and any(secret in f"{headers} {action.href}" for secret in (token, basic)):
            raise LfsFailed(
                f"the LFS server of {self.remote.url} asks for the git token to be sent to {origin_of(action.href)}: "
                "have the owner of the server correct it, or turn lfs off"
            )
        return action

    @contextmanager
    def _exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None = None,
        auth: tuple[str, str] | None = None,
    ) -> Iterator[httpx.Response]:
        """Send a request, and yield the response, of which the body is still unread."""
        if auth is None:
            check_address(url, self.remote.url.origin)
        try:
            with self.http.stream(method, url, headers=dict(headers), content=content, auth=auth) as response:
                yield response
        except (httpx.LocalProtocolError, httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
            raise LfsFailed(
                f"the LFS server of {self.remote.url} names an address or a header that cannot be sent: turn lfs off"
            ) from None
        except httpx.HTTPError as error:
            raise LfsUnavailable(
                f"the connection to {origin_of(url)} for Git LFS failed ({type(error).__name__}): check the network, "
                "and HTTPS_PROXY"
            ) from None

    def _check(self, path: str, response: httpx.Response, action: str) -> None:
        """Raise an error if a request to an address of the LFS server failed."""
        status = response.status_code
        if status < _ERROR:
            return
        place = f"{origin_of(str(response.url))} at the {action} of {path!r}"
        # A signed address may have expired meanwhile. A repetition of the step asks for a new one.
        if status in _TEMPORARY | _DENIED or status >= _SERVER_ERROR:
            raise LfsUnavailable(f"{place}: status {status}{wait_in(response)}{reason_in(read_answer(response))}")
        if status in _GONE and action == "download":
            raise LfsObjectMissing(f"{place}: status {status}. {_MISSING_ADVICE}")
        raise LfsFailed(f"{place}: status {status}{reason_in(read_answer(response))}")


_MISSING_ADVICE: Final = (
    "Push the file's content to the server with git lfs push --all from a clone that has it, or turn lfs off"
)


def missing_object(path: str, pointer: Pointer, reason: str = "") -> LfsObjectMissing:
    """Return the error for an object that the server does not have."""
    why = f" ({reason})" if reason else ""
    return LfsObjectMissing(
        f"the LFS server does not have the content of {path!r}, {pointer.oid[:12]}…{why}. {_MISSING_ADVICE}"
    )


def _redirected(url: str, response: httpx.Response) -> str:
    try:
        return urljoin(url, response.headers["location"])
    except ValueError:
        raise LfsFailed(f"{origin_of(url)} redirects to an address that is not a URL: turn lfs off") from None


def _write(path: str, pointer: Pointer, response: httpx.Response, target: Path) -> None:
    digest, size = hashlib.sha256(), 0
    partial = target.with_name(f"{target.name}.part")
    with partial.open("wb") as file:
        for block in body_of(response):
            size += len(block)
            is_removed = os.fstat(file.fileno()).st_nlink == 0  # because the run has ended
            if is_removed or size > pointer.size:
                break
            digest.update(block)
            file.write(block)
    if size != pointer.size or digest.hexdigest() != pointer.oid:
        partial.unlink(missing_ok=True)
        raise LfsFailed(
            f"the content of {path!r} from {origin_of(str(response.url))} differs from its pointer (size "
            f"{pointer.size}, SHA-256 {pointer.oid[:12]}…): turn lfs off, and have the owner of the repository push "
            "the file again"
        )
    partial.rename(target)
