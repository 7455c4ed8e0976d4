"""The HTTP client for Git LFS, and what it reads from the answers of a server."""

import json
import logging
import re
from collections.abc import Iterator
from typing import Final

import httpx

from flows.certificates import git_server_certificates

BLOCK_BYTES: Final = 2**18
REASON_LENGTH: Final = 200
"""How many characters of a server's message an error quotes."""

_TIMEOUT: Final = httpx.Timeout(60, connect=10)
_ANSWER_LIMIT_BYTES: Final = 4 * 2**20


def http_client() -> httpx.Client:
    """Return a client that uses this machine's proxies and CA certificates, and follows no redirects."""
    for name in ("httpx", "httpcore"):
        # At lower levels these loggers write addresses, and a signed address is a credential.
        logging.getLogger(name).setLevel(logging.WARNING)
    return httpx.Client(follow_redirects=False, timeout=_TIMEOUT, verify=git_server_certificates())


def body_of(response: httpx.Response) -> Iterator[bytes]:
    """Yield the body of a response as it was sent.

    Requests ask for no compression. An answer of a few bytes that is compressed twice can fill the memory.
    """
    return response.iter_raw(BLOCK_BYTES)


def read_answer(response: httpx.Response) -> bytes:
    """Return the body of a response, up to a limit."""
    content = bytearray()
    for block in body_of(response):
        content += block
        if len(content) > _ANSWER_LIMIT_BYTES:
            break
    return bytes(content)


def reason_in(content: bytes) -> str:
    """Return the message in a server's answer, for an error; empty if the answer has none."""
    try:
        message = json.loads(content)["message"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
    return f": {message[:REASON_LENGTH]}" if isinstance(message, str) else ""


def wait_in(response: httpx.Response) -> str:
    """Return the time after which a server wants to be asked again, for an error; empty if it names none."""
    seconds = response.headers.get("retry-after", "")
    return f", retry after {seconds} s" if re.fullmatch(r"[0-9]{1,6}", seconds) else ""
