"""The repositories and instructions that all sides work on, of several sizes, each created once per bench."""

import os
import random
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Final, cast

from deployments.local.stack import BUCKET
from tests.bench.region import Region

_SEED: Final = 7


def content(size: int, draw: random.Random) -> bytes:
    """Return bytes that zlib can compress by a third."""
    raw = draw.randbytes(size * 2 // 3)
    return (raw + b"def f(x):\n    return x\n" * (size // 69 + 1))[:size]


def repository(region: Region, name: str, *, commits: int, files: int, file_bytes: int) -> str:
    """Create a repository; return its URL. Its first commit adds all files, and each later one changes one file."""
    if not (region.git.root / f"{name}.git").exists():
        region.git.create(name)
        git_dir = str(region.git.root / f"{name}.git")
        process = subprocess.Popen(
            ["git", f"--git-dir={git_dir}", "-c", "core.compression=1", "fast-import", "--quiet"], stdin=subprocess.PIPE
        )
        stream = cast("IO[bytes]", process.stdin)
        for part in _history(commits, files, file_bytes):
            stream.write(part)
        stream.close()
        if process.wait() != 0:
            raise RuntimeError(f"git fast-import of {name} failed")
        region.git.git(name, "config", "core.looseCompression", "1")
    return f"{region.git.url}/{name}.git"


def _history(commits: int, files: int, file_bytes: int) -> Iterator[bytes]:
    draw = random.Random(_SEED)  # noqa: S311 (content, not a secret)
    for number in range(commits):
        message = b"Change %d" % number
        yield b"commit refs/heads/main\nmark :%d\n" % (number + 1)
        yield b"committer Seed <seed@example.com> %d +0000\n" % (1_700_000_000 + number * 60)
        yield b"data %d\n%s\n" % (len(message), message)
        for changed in range(files) if number == 0 else (number % files,):
            text = content(file_bytes, draw)
            path = b"src/part%02d/file%05d.py" % (changed % 20, changed)
            yield b"M 100644 inline %s\ndata %d\n%s\n" % (path, len(text), text)
        yield b"\n"


def instructions(region: Region, count: int) -> str:
    """Upload `count` files of 2 kB, one of them `main.md`; return the S3 URI of their folder."""
    client, prefix = region.stack.s3(), f"instructions-{count}"

    def put(number: int) -> None:
        name = "main.md" if number == 0 else f"part{number % 50:02}/note{number:05}.md"
        text = f"# Write hello.txt ({number})\n" + "Say hello in it.\n" * 120
        client.put_object(Bucket=BUCKET, Key=f"{prefix}/{name}", Body=text.encode())

    if "Contents" not in client.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/", MaxKeys=1):
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(put, range(count)))
    return f"s3://{BUCKET}/{prefix}/*"
