"""What a run keeps, on whatever file system the caller hands over, so that its work outlives its machine.

claude-code-headless/<flow run id>/request.json          the run's parameters, redacted
claude-code-headless/<flow run id>/instructions-0, …     the instructions as they were downloaded, in parts
claude-code-headless/<flow run id>/plan                  where the work starts from, and which instructions belong to it
claude-code-headless/<flow run id>/checkpoint-0, -1      the work so far; the newer one that is whole counts
claude-code-headless/<flow run id>/change                the finished change, and what the agent said of it
claude-code-headless/<flow run id>/change.bundle         the change, also of a run that failed, for `git fetch`
claude-code-headless/<flow run id>/transcript.jsonl.gz   the agent's event stream, redacted
claude-code-headless/<flow run id>/transcript.html       the same as a page for a browser
claude-code-headless/<flow run id>/usage.json            what the model cost so far: tokens, replies, US dollars
claude-code-headless/<flow run id>/report.md             what the run said at its end
claude-code-headless/<flow run id>/execution             which execution of the run is the newest: it alone writes

What a later machine reads back is sealed with its own checksum: a file that was torn while it was written, on a file
system that does not replace whole files, is as good as none.
"""

import gzip
import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any, Final, Protocol, Self, TypeVar

from flows.errors import StoreUnavailable, Superseded

FOLDER: Final = "claude-code-headless"
"""What all runs' keepings lie below."""

_FORM: Final = "claude-code-headless 1"
_PATIENCE_SECONDS: Final = 60
_Result = TypeVar("_Result")


class FileSystem(Protocol):
    """Prefect's writable file systems, as far as a run needs them."""

    def read_path(self, path: str) -> Any:  # noqa: ANN401 (Prefect's say bytes, or a coroutine of them)
        """Return a file's content."""

    def write_path(self, path: str, content: bytes) -> object:
        """Write one file whole."""


@dataclass(frozen=True)
class RunStore:
    """The keepings of one flow run.

    Methods raise `StoreUnavailable` where the file system does not answer, and those that keep something `Superseded`
    where a later execution of the run has taken over.
    """

    files: FileSystem
    flow_run_id: str
    retry_delays_seconds: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 16.0)
    """Three quarters of a minute: a file system may be away while its network is mended or its disk fails over."""
    execution: str = ""
    """What tells this execution of the run from others; empty where there is none to tell it from."""
    kept: set[str] = field(default_factory=set, compare=False)
    """Names of what was kept in this process."""

    @property
    def in_haste(self) -> Self:
        """The same store for those who cannot wait: a file system that does not answer is not asked again."""
        return replace(self, retry_delays_seconds=())

    def take_over(self) -> None:
        """Be the run's execution from here on; one that still goes on somewhere finds that out here, and stops."""
        self._write("execution", self.execution.encode())

    def check_execution(self) -> None:
        """Raise `Superseded` where a later execution of the run has taken over."""
        if self.execution and self.read("execution") not in {None, self.execution.encode()}:
            raise Superseded(f"a later execution of the flow run {self.flow_run_id} has taken over")

    def keep_transcript(self, events: Iterable[bytes]) -> str:
        """Keep the agent's event stream, portion by portion, compressed; return its path."""
        packed = BytesIO()
        with gzip.GzipFile("", "wb", compresslevel=3, fileobj=packed, mtime=0) as file:
            for portion in events:
                file.write(portion)
        return self.keep("transcript.jsonl.gz", packed.getvalue())

    def keep_change(self, bundle: bytes) -> str:
        """Keep the change as a git bundle; return its path."""
        return self.keep("change.bundle", bundle)

    def keep_report(self, markdown: str) -> str:
        """Keep the report; return its path."""
        return self.keep("report.md", markdown.encode())

    def seal(self, name: str, content: bytes) -> str:
        """Keep what a later machine is to read back; return its path."""
        return self.keep(name, b"%s\n%s" % (_seal(content), content))

    def unseal(self, name: str) -> bytes | None:
        """Return what was sealed under this name; None where there is nothing, or nothing whole."""
        seal, newline, content = (self.read(name) or b"").partition(b"\n")
        return content if newline and seal == _seal(content) else None

    def path(self, name: str) -> str:
        """Return the path of one of the run's files."""
        return f"{FOLDER}/{self.flow_run_id}/{name}"

    def keep(self, name: str, content: bytes) -> str:
        """Keep a file as it is; return its path."""
        self.check_execution()
        return self._write(name, content)

    def _write(self, name: str, content: bytes) -> str:
        self._patiently(lambda: self.files.write_path(self.path(name), content), self.path(name))
        self.kept.add(name)
        return self.path(name)

    def read(self, name: str) -> bytes | None:
        """Return a file as it is; None where there is none."""
        try:
            content: bytes = self._patiently(lambda: self.files.read_path(self.path(name)), self.path(name))
        except FileNotFoundError:
            return None
        return content

    def _patiently(self, call: Callable[[], _Result], path: str) -> _Result:
        """Call, and again where the file system does not answer; FileNotFoundError where it says there is nothing."""
        started = time.monotonic()
        for delay in (*self.retry_delays_seconds, None):
            try:
                return call()
            except Exception as error:  # noqa: BLE001 (each file system has errors of its own)
                if _says_missing(error):
                    raise FileNotFoundError(path) from None
                fault = error
            # A file system may take its time before it gives up, and then as many times as it is asked.
            if delay is None or time.monotonic() - started > _PATIENCE_SECONDS:
                break
            time.sleep(delay)
        raise StoreUnavailable(f"the run store does not take or give {path}: {type(fault).__name__}: {fault}")


def _seal(content: bytes) -> bytes:
    return f"{_FORM} {hashlib.sha256(content).hexdigest()}".encode()


def _says_missing(error: Exception) -> bool:
    """Whether an error of a Prefect file system (local: ValueError; S3: botocore's ClientError) means: no such file."""
    response = getattr(error, "response", {})
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    is_local = isinstance(error, ValueError) and "does not exist" in str(error)
    return is_local or isinstance(error, FileNotFoundError) or code in {"404", "NoSuchKey"}
