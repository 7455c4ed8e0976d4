"""The run store: the files of one flow run on any of Prefect's file systems, so that its work outlives its machine.

A file that a later machine reads back is sealed: its first line has the version of its form and a checksum. A file that
was torn while it was written, on a file system that does not replace whole files, counts as missing.
"""

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, Self, TypeVar

from flows.errors import StoreUnavailable, Superseded
from flows.state.files import FOLDER, StateFile

VERSION: Final = 2
"""Of the sealed files. A run that was saved by another version starts from its beginning."""

_PROGRAM: Final = b"claude-code-headless"
_SEAL: Final = re.compile(rb"%s ([0-9]{1,9}) [0-9a-f]{64}\n" % _PROGRAM)
_PATIENCE_SECONDS: Final = 60
_Result = TypeVar("_Result")


class FileSystem(Protocol):
    """Prefect's writable file systems, as far as a run needs them."""

    def read_path(self, path: str) -> Any:  # noqa: ANN401 (Prefect's return bytes, or a coroutine of them)
        """Return a file's content."""

    def write_path(self, path: str, content: bytes) -> object:
        """Write one whole file."""


@dataclass(frozen=True)
class RunStore:
    """The files of one flow run.

    Every method raises `StoreUnavailable` if the file system does not answer. Those that save raise `Superseded` if a
    later attempt of the run has taken the lease.
    """

    files: FileSystem
    flow_run_id: str
    retry_delays_seconds: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 16.0)
    """Three quarters of a minute: time for a network to be repaired, or a disk to fail over."""
    attempt: str = ""
    """The id of this attempt of the run; empty for a reader, which never holds the lease."""
    saved_names: set[str] = field(default_factory=set, compare=False)
    """Names of the files that this process saved."""

    @property
    def without_retries(self) -> Self:
        """The same store for a caller that cannot wait: a file system that does not answer is asked only once."""
        return replace(self, retry_delays_seconds=())

    def take_lease(self) -> None:
        """Make this the newest attempt of the run; an earlier one that still works finds out, and stops."""
        self._write(StateFile.LEASE, self.attempt.encode())

    def check_lease(self) -> None:
        """Raise `Superseded` if a later attempt of the run has taken the lease."""
        if self.attempt and self.read(StateFile.LEASE) not in {None, self.attempt.encode()}:
            raise Superseded(f"a later attempt of the flow run {self.flow_run_id} has taken over")

    def save(self, name: str, content: bytes) -> str:
        """Save a file; return its path."""
        self.check_lease()
        return self._write(name, content)

    def save_sealed(self, name: str, content: bytes) -> str:
        """Save a file for a later machine to read back; return its path."""
        return self.save(name, b"%s\n%s" % (_seal(content), content))

    def read(self, name: str) -> bytes | None:
        """Return a file's content; None if it does not exist."""
        try:
            content: bytes = self._patiently(lambda: self.files.read_path(self.path(name)), self.path(name))
        except FileNotFoundError:
            return None
        return content

    def read_sealed(self, name: str) -> bytes | None:
        """Return the content of a sealed file; None if it does not exist, is torn, or is of another version."""
        seal, newline, content = (self.read(name) or b"").partition(b"\n")
        return content if newline and seal == _seal(content) else None

    def fault(self, name: str) -> str:
        """Return what is wrong with a sealed file: another version, or damage; "" if nothing, or if it is missing."""
        content = self.read(name)
        if not content or self.read_sealed(name) is not None:
            return ""
        other = _SEAL.match(content)
        return f"version {other[1].decode()} of {name}" if other and int(other[1]) != VERSION else f"a damaged {name}"

    def path(self, name: str) -> str:
        """Return the path of one of the run's files in the file system."""
        return f"{FOLDER}/{self.flow_run_id}/{name}"

    def location(self, name: str) -> str:
        """Return where a person finds a file: an S3 URI, or a path, as far as the file system tells."""
        path = self.path(name)
        if bucket := getattr(self.files, "bucket_name", ""):
            folder = getattr(self.files, "bucket_folder", "").strip("/")
            return f"s3://{bucket}/{folder}/{path}" if folder else f"s3://{bucket}/{path}"
        base = getattr(self.files, "basepath", "")
        return f"{str(base).rstrip('/')}/{path}" if base else path

    def _write(self, name: str, content: bytes) -> str:
        self._patiently(lambda: self.files.write_path(self.path(name), content), self.path(name))
        self.saved_names.add(name)
        return self.path(name)

    def _patiently(self, call: Callable[[], _Result], path: str) -> _Result:
        """Call, and again if the file system does not answer; raise FileNotFoundError if there is no such file."""
        started = time.monotonic()
        for delay in (*self.retry_delays_seconds, None):
            try:
                return call()
            except Exception as error:  # noqa: BLE001 (each file system has its own errors)
                if _is_missing_file(error):
                    raise FileNotFoundError(path) from None
                fault = error
            # A file system may take a long time to give up, each time that it is asked.
            if delay is None or time.monotonic() - started > _PATIENCE_SECONDS:
                break
            time.sleep(delay)
        raise StoreUnavailable(f"the run store could not read or write {path}: {type(fault).__name__}: {fault}")


def _seal(content: bytes) -> bytes:
    return b"%s %d %s" % (_PROGRAM, VERSION, hashlib.sha256(content).hexdigest().encode())


def _is_missing_file(error: Exception) -> bool:
    """Whether an error of a Prefect file system (local: ValueError; S3: botocore's ClientError) means: no such file."""
    response = getattr(error, "response", {})
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    is_local = isinstance(error, ValueError) and "does not exist" in str(error)
    return is_local or isinstance(error, FileNotFoundError) or code in {"404", "NoSuchKey"}
