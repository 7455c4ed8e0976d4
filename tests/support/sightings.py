"""Search for credentials where none may be: in files, in text, and on the command lines of all processes."""

import base64
import gzip
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from urllib.parse import quote
from zipfile import ZipFile, is_zipfile

from deployments.local.stack import API_KEY, AWS_SECRET_ACCESS_KEY, GIT_TOKEN

SECRETS = (GIT_TOKEN, API_KEY, AWS_SECRET_ACCESS_KEY)
# Patterns that match the secrets but do not contain them, so that the agent may see them.
PATTERNS = "local-git-token-[0-9a-f]{12}|local-anthropic-key-[0-9a-f]{8}|local-secret-access-key-[0-9a-f]{8}"


def forms(secret: str) -> Iterator[bytes]:
    """Yield the forms in which a secret may appear: raw, in base64 alone and after a user name, and URL-encoded."""
    yield secret.encode()
    yield base64.b64encode(secret.encode()).rstrip(b"=")
    yield base64.b64encode(f"x-access-token:{secret}".encode()).rstrip(b"=")
    yield quote(secret, safe="").encode()


def seen_in(content: bytes, secrets: Iterable[str] = SECRETS) -> list[bytes]:
    """Return the forms of secrets that occur in `content`."""
    return [form for secret in secrets for form in forms(secret) if form in content]


def holders(files: Iterable[Path], secrets: Iterable[str] = SECRETS) -> list[str]:
    """Return the files that contain a secret."""
    return [str(path) for path in files if path.is_file() and seen_in(_plain(path), secrets)]


def _plain(path: Path) -> bytes:
    """Return a file's content, decompressed if it is an archive."""
    content = path.read_bytes()
    if content.startswith(b"\x1f\x8b"):
        return gzip.decompress(content)
    if is_zipfile(BytesIO(content)):
        with ZipFile(BytesIO(content)) as archive:
            return content + b"\0".join(archive.read(name) for name in archive.namelist())
    return content


@contextmanager
def sampled_argv() -> Iterator[set[bytes]]:
    """Collect the command lines of all processes at short intervals while the context is open."""
    seen: set[bytes] = set()
    finished = threading.Event()

    def sample() -> None:
        while not finished.is_set():
            # glob("/proc/[0-9]*/cmdline") would raise an error if a process ends while it looks.
            for process in [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]:
                try:
                    seen.add((process / "cmdline").read_bytes())
                except OSError:
                    continue
            time.sleep(0.005)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield seen
    finally:
        finished.set()
        thread.join()
