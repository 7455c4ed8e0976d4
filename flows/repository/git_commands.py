"""The one door to git.

GitPython starts every git of ours, with an environment built from nothing: it adds what it is given to our own, so the
command is `env -u …`, which takes all else away without a value on a command line. No configuration but what stands
here is read, because the repository's is not ours to trust.
"""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, cast

from git import Git, RemoteProgress
from git.cmd import handle_process_output

from flows.errors import DISK_FULL, DiskFull, GitFailed

_ISOLATED: Final = {
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
}
_SAFE_CONFIG: Final = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "credential.helper=",
    "gc.auto=0",
    "http.followRedirects=false",
    "protocol.allow=never",
)
_STDERR_LIMIT: Final = 2000
_RUNNING: Final[ContextVar["set[subprocess.Popen[bytes]]"]] = ContextVar("running")


@dataclass(frozen=True)
class GitResult:
    """What one git process said. `stdout` is bytes, because paths and contents are."""

    status: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """`stdout` as text, without the final newline."""
        return self.stdout.decode("utf-8", "surrogateescape").rstrip("\n")


def isolated_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the whole environment that a git of ours gets."""
    return {"PATH": os.environ.get("PATH", os.defpath), **_ISOLATED, **(extra or {})}


def command(arguments: Sequence[str], *, config: Sequence[str] = (), git_dir: Path | None = None) -> list[str]:
    """Return a git command line with the safe configuration, then `config`, before `arguments`."""
    options = [part for item in (*_SAFE_CONFIG, *config) for part in ("-c", item)]
    return ["git", *options, *([f"--git-dir={git_dir}"] if git_dir else []), *arguments]


def run(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    stdin: IO[bytes] | None = None,
    progress: RemoteProgress | None = None,
    pass_fds: Sequence[int] = (),
    timeout_seconds: float = 3600,
    on_exit: Callable[[], None] | None = None,
) -> GitResult:
    """Run a command with exactly `environment` (ours, when None), in a session of its own, to its end.

    `on_exit` is called when its process ended, although what that left behind may hold the output open.
    """
    exact = isolated_environment() if environment is None else environment
    started = Git(os.sep).execute(
        ["env", *(part for name in os.environ if name not in exact for part in ("-u", name)), *argv],
        env=exact,
        istream=stdin if stdin is not None else subprocess.DEVNULL,  # type: ignore[arg-type]
        as_process=True,
        pass_fds=tuple(pass_fds),
        start_new_session=True,
        # Only a text stream is cut at the carriage returns that git's progress lines end in.
        universal_newlines=progress is not None,
        errors="replace" if progress is not None else None,
    )
    process = cast("Git.AutoInterrupt", started)
    stdout: list[bytes] = []
    stderr: list[str] = []
    report = progress.new_message_handler() if progress is not None else None

    def read_error(line: str | bytes) -> None:
        text = line if isinstance(line, str) else line.decode("utf-8", "replace")
        stderr.append(text.rstrip("\r\n"))
        if report is not None:
            report(text)

    with _noted(process), _at_exit(process, on_exit):
        handle_process_output(
            process,
            None if progress is not None else stdout.append,
            read_error,
            decode_streams=False,
            kill_after_timeout=timeout_seconds,
        )
    status = process.proc.wait() if process.proc is not None else process.status or 0
    return GitResult(status, b"".join(stdout), "\n".join(stderr)[-_STDERR_LIMIT:])


@contextmanager
def _at_exit(process: Git.AutoInterrupt, call: Callable[[], None] | None) -> Iterator[None]:
    if call is None or (child := process.proc) is None:
        yield
        return

    def wait() -> None:
        child.wait()
        call()

    thread = threading.Thread(target=wait, name="git-exit", daemon=True)
    thread.start()
    yield
    thread.join()


@contextmanager
def ended_with_context() -> Iterator[None]:
    """End, when the context ends, what other threads started in it and still wait for, such as a silent server."""
    running: set[subprocess.Popen[bytes]] = set()
    token = _RUNNING.set(running)
    try:
        yield
    finally:
        _RUNNING.reset(token)
        for process in tuple(running):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _noted(process: Git.AutoInterrupt) -> Iterator[None]:
    running = _RUNNING.get(set())
    if process.proc is not None:
        running.add(process.proc)
    try:
        yield
    finally:
        running.discard(process.proc)


def check(argv: Sequence[str], **options: Any) -> GitResult:  # noqa: ANN401 (run's own)
    """`run`, raising `GitFailed` on any status but 0."""
    result = run(argv, **options)
    if result.status != 0:
        if re.search(r"No space left on device|Disk quota exceeded", result.stderr):
            raise DiskFull(f"{DISK_FULL} ({result.stderr.strip()})")
        raise GitFailed(f"git ended with status {result.status}: {result.stderr.strip() or 'it said nothing'}")
    return result
