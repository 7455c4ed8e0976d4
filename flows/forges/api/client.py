"""Sends requests to the API of a forge, and turns the answers that no caller can use into named errors.

A request goes to the address that was configured, and never to an address from an answer: redirects are not followed.
No request is repeated here, because a write whose answer is lost may have happened.
"""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from flows.certificates import git_server_certificates
from flows.errors import (
    ForgeAuthFailed,
    ForgePermissionMissing,
    ForgeUnavailable,
    PullRequestRefused,
)
from flows.text_safety import one_line, sanitize

_TIMEOUT: Final = httpx.Timeout(30, connect=10)
_ANSWER_SECONDS: Final = 60
_ANSWER_LIMIT_BYTES: Final = 8 * 2**20
_REASON_CHARACTERS: Final = 300
_DEEPEST_MESSAGE: Final = 10
_LONGEST_WAIT_SECONDS: Final = 3600
_PERMISSIONS_HEADER: Final = "x-accepted-github-permissions"

NOT_FOUND: Final = 404
_OK: Final = range(200, 300)
_MOVED: Final = range(300, 400)
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_TOO_MANY: Final = 429
_BUSY: Final = frozenset({408, *range(500, 600)})
_LOCKED: Final = 423


NOT_JSON: Final = object()
Query = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True)
class Answer:
    """What the API answered."""

    status: int
    headers: Mapping[str, str]
    body: Any
    """The JSON value; `NOT_JSON` if the answer is something else."""

    @property
    def is_success(self) -> bool:
        """Whether the API granted the request."""
        return self.status in _OK

    @property
    def reason(self) -> str:
        """The API's message, on one line."""
        return _beginning(" ".join(_messages(self.body))) or f"HTTP status {self.status}"


class ApiClient:
    """An HTTP client for one API, with this machine's proxies and CA certificates."""

    def __init__(self, api_url: str, headers: Mapping[str, str]) -> None:
        self._api_url = api_url
        self._socket: socket.socket | None = None
        # An answer of a few bytes that is compressed twice can fill the memory.
        defaults = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "claude-code-headless"}
        self._http = httpx.Client(
            headers={**defaults, **headers},
            follow_redirects=False,
            timeout=_TIMEOUT,
            verify=git_server_certificates(),
        )

    def send(self, method: str, path: str, *, query: Query | None = None, body: object = None) -> Answer:
        """Send one request. Return the answer, also if it refuses the request for a reason of this request.

        Args:
            method: The HTTP method.
            path: The path below the API's address, percent-encoded.
            query: The parameters of the query.
            body: The JSON value to send; None to send no body.

        Raises:
            ForgeAuthFailed, ForgePermissionMissing, ForgeUnavailable, PullRequestRefused: See `ForgeApi`.
        """
        try:
            answer = self._send(method, f"{self._api_url}{path}", query, body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _unreachable(self._api_url, error) from error
        _check(answer, self._api_url, f"{method} {path}")
        return answer

    def _send(self, method: str, url: str, query: Query | None, body: object) -> Answer:
        deadline = time.monotonic() + _ANSWER_SECONDS
        # In ASCII, because an answer may have had half of a surrogate pair, which UTF-8 cannot encode.
        content_type = {} if body is None else {"content-type": "application/json"}
        sent = None if body is None else json.dumps(body, separators=(",", ":"))
        trace = {"trace": self._remember_socket}
        with (
            self._deadline(),
            self._http.stream(
                method, url, params=query, content=sent, headers=content_type, extensions=trace
            ) as response,
        ):
            content = bytearray()
            for block in response.iter_raw():
                content += block
                if len(content) > _ANSWER_LIMIT_BYTES:
                    raise httpx.ReadError("the answer is too long")
            if time.monotonic() > deadline:  # it may have ended because the connection was ended here
                raise httpx.ReadError("the answer takes too long")
        return Answer(response.status_code, response.headers, _json(bytes(content)))

    def _remember_socket(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._socket = info["return_value"].get_extra_info("socket")

    @contextmanager
    def _deadline(self) -> Iterator[None]:
        """End the connection if the whole answer takes too long. The limits of the HTTP client are for one read."""
        timer = threading.Timer(_ANSWER_SECONDS, self._cut_off)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _cut_off(self) -> None:
        if self._socket:
            with suppress(OSError):  # it is closed already
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


def _beginning(text: str) -> str:
    """Return the beginning of a server's text on one line. It is redacted before it is cut, and may become a result."""
    return one_line(sanitize(text))[:_REASON_CHARACTERS]


def _json(content: bytes) -> Any:  # noqa: ANN401 (JSON)
    try:
        return json.loads(content) if content else {}
    except (ValueError, RecursionError):
        return NOT_JSON


def no_permission(answer: Answer, action: str) -> ForgePermissionMissing:
    """Return the error for a token without a permission, with the name that the forge has for the permission."""
    permissions = answer.headers.get(_PERMISSIONS_HEADER, "")
    needs = f"; GitHub asks for {_beginning(permissions)}" if permissions else ""
    address = ", and that forge_api_url is right" if answer.status == NOT_FOUND else ""
    return ForgePermissionMissing(
        f"the git token may not {action}: {answer.reason}{needs}{_scopes(answer.body)}. Add this permission to the "
        "token: docs/pull-requests.md lists what each forge needs. If the token has it, check that it is for this "
        f"repository{address}"
    )


def _check(answer: Answer, api_url: str, action: str) -> None:
    """Raise the named error for an answer that means the same on every forge."""
    host = urlsplit(api_url).netloc
    if answer.status in _MOVED:
        target = answer.headers.get("location", "").partition("?")[0]
        address = _beginning(target)
        raise PullRequestRefused(
            f"the API of {host} redirects {action} to {address}, and a token never follows a redirect. If the "
            "repository has a new name, set repo_url to it; otherwise set forge_api_url"
        )
    if _is_rate_limit(answer):
        raise _busy(answer, f"the API of {host} allows no more requests for now ({answer.reason})")
    if answer.status in _BUSY:
        raise _busy(answer, f"the API of {host} failed ({answer.reason})")
    if answer.is_success and answer.body is NOT_JSON and "json" in answer.headers.get("content-type", ""):
        raise ForgeUnavailable(f"the API of {host} gave an answer that is cut off: try again later")
    # Azure DevOps answers a wrong token with status 203 and a page for signing in.
    if answer.status in {_UNAUTHORIZED, 203} or (answer.is_success and answer.body is NOT_JSON):
        refused = answer.reason if answer.status == _UNAUTHORIZED else "it answered with a page and not with JSON"
        raise ForgeAuthFailed(
            f"the API of {host} refused the git token ({refused}): give the secret a token that is valid and may use "
            "the API. If the token is right, check the parameter forge_api_url"
        )
    if answer.status == _LOCKED or (answer.status == _FORBIDDEN and "archived" in answer.reason.lower()):
        raise PullRequestRefused(
            f"the repository is archived, so the forge accepts no pull request ({answer.reason}): have its owner "
            "unarchive it"
        )
    if answer.status == _FORBIDDEN:
        raise no_permission(answer, f"do {action}")


def _is_rate_limit(answer: Answer) -> bool:
    names_time = "retry-after" in answer.headers or answer.headers.get("x-ratelimit-remaining") == "0"
    is_limit = names_time or "rate limit" in answer.reason.lower()
    return answer.status == _TOO_MANY or (answer.status == _FORBIDDEN and is_limit)


def _busy(answer: Answer, sentence: str) -> ForgeUnavailable:
    seconds = _wait_of(answer.headers)
    error = ForgeUnavailable(f"{sentence}{f', retry after {seconds} s' if seconds else ''}: try again later")
    error.retry_after_seconds = seconds
    return error


def _wait_of(headers: Mapping[str, str]) -> int:
    """Return after how many seconds the forge wants to be asked again; 0 if it does not tell."""
    for name in ("retry-after", "x-ratelimit-reset", "ratelimit-reset"):
        if re.fullmatch(r"[0-9]{1,12}", text := headers.get(name, "")):
            seconds = int(text) - (0 if name == "retry-after" else int(time.time()))
            return max(0, min(seconds, _LONGEST_WAIT_SECONDS))
    with suppress(ValueError, OverflowError):
        moment = parsedate_to_datetime(headers.get("retry-after", ""))
        seconds = int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - time.time())
        return max(0, min(seconds, _LONGEST_WAIT_SECONDS))
    return 0


def _unreachable(api_url: str, error: httpx.HTTPError | httpx.InvalidURL) -> ForgeUnavailable:
    advice = "check the network, and HTTPS_PROXY"
    if "CERTIFICATE" in str(error).upper():
        advice = "set SSL_CERT_FILE to the CA certificates of the server or of the proxy"
    return ForgeUnavailable(
        f"the API at {api_url} did not answer ({type(error).__name__}: {_beginning(str(error))}): {advice}"
    )


def _messages(body: Any, depth: int = 0) -> list[str]:  # noqa: ANN401 (JSON)
    """Return the messages in an answer. The forges, and some calls of one forge, have different forms."""
    if depth > _DEEPEST_MESSAGE:
        return []
    match body:
        case str():
            return [body]
        case list():
            return [message for each in body for message in _messages(each, depth + 1)]
        case {"resource": _, "field": field, "code": code} if "message" not in body:  # GitHub
            return [f"{field} {code}"]
        case dict():
            names = ("message", "error", "error_description", "errors", "detail")
            return [message for name in names if name in body for message in _messages(body[name], depth + 1)] or [
                f"{name}: {message}" for name, value in body.items() for message in _messages(value, depth + 1)
            ]
    return []


def _scopes(body: object) -> str:
    """Return the scopes that an answer of GitLab or Bitbucket asks for."""
    match body:
        case {"error": "insufficient_scope", "scope": str(scope)}:
            return f"; the scope is {_beginning(scope)}"
        case {"error": {"detail": {"required": list(scopes)}}}:
            return f"; the scopes are {_beginning(', '.join(map(str, scopes)))}"
    return ""
