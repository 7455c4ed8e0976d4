"""Defines the run store: one flow run's files on any of Prefect's file systems, where they outlive the run's machine.

A file that a later attempt reads back is sealed: its first line holds a format version and a checksum. Some file
systems do not replace files atomically, and leave an incomplete file if the machine is lost during a write. The
checksum reveals such a file, which counts as missing.
"""

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, Self, TypeVar

from flows.errors import StoreUnavailable, Superseded
from flows.state.files import FOLDER, StateFile

VERSION: Final = 3
"""The format version of the sealed files. A run whose files have another version starts from the beginning."""

_PROGRAM: Final = b"claude-code-headless"
_SEAL: Final = re.compile(rb"%s ([0-9]{1,9}) [0-9a-f]{64}\n" % _PROGRAM)
_PATIENCE_SECONDS: Final = 60
_Result = TypeVar("_Result")


class FileSystem(Protocol):
    """The methods that a run needs of Prefect's writable file systems."""

    def read_path(self, path: str) -> Any:  # noqa: ANN401 (Prefect's methods return bytes or a coroutine)
        """Return the content of the file at this path."""

    def write_path(self, path: str, content: bytes) -> object:
        """Write the whole file at this path."""


@dataclass(frozen=True)
class RunStore:
    """The saved files of one flow run.

    Every method raises `StoreUnavailable` if the file system does not answer. Methods that save raise `Superseded` if
    a later attempt of the run has taken the lease.
    """

    files: FileSystem
    flow_run_id: str
    retry_delays_seconds: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 16.0)
    """The pauses before the retries of a request, in seconds. They add up to three quarters of a minute: time for a
    network to recover, or for a disk to fail over."""
    attempt: str = ""
    """The id of this attempt of the run; empty for a program that only reads, and so never holds the lease."""
    saved_names: set[str] = field(default_factory=set, compare=False)
    """The names of the files that this process has saved."""

    @property
    def without_retries(self) -> Self:
        """A copy of this store for a caller that cannot wait: a failed request to the file system is not retried."""
        return replace(self, retry_delays_seconds=())

    def take_lease(self) -> None:
        """Take the lease: from now on, only this attempt may write. An earlier one still at work notices and stops."""
        self._write(StateFile.LEASE, self.attempt.encode())

    def check_lease(self) -> None:
        """Raise `Superseded` if a later attempt of the run has taken the lease."""
        if self.attempt and self.read(StateFile.LEASE) not in {None, self.attempt.encode()}:
            raise Superseded(f"a later attempt of the flow run {self.flow_run_id} has taken over")

    def save(self, name: str, content: bytes) -> str:
        """Save a file, and return its path in the file system."""
        self.check_lease()
        return self._write(name, content)

    def save_sealed(self, name: str, content: bytes) -> str:
        """Save a file with a version and a checksum, for a later attempt to read back. Return the file's path."""
        return self.save(name, b"%s\n%s" % (_seal(content), content))

    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None if the file does not exist."""
        try:
            content: bytes = self._with_retries(lambda: self.files.read_path(self.path(name)), self.path(name))
        except FileNotFoundError:
            return None
        return content

    def read_sealed(self, name: str) -> bytes | None:
        """Return the content of a sealed file; None if the file does not exist, is damaged, or has another version."""
        seal, newline, content = (self.read(name) or b"").partition(b"\n")
        return content if newline and seal == _seal(content) else None

    def fault(self, name: str) -> str:
        """Return what is wrong with a sealed file: another version or damage; "" if it is intact, empty or missing."""
        content = self.read(name)
        if not content or self.read_sealed(name) is not None:
            return ""
        seal = _SEAL.match(content)
        return f"version {seal[1].decode()} of {name}" if seal and int(seal[1]) != VERSION else f"a damaged {name}"

    def path(self, name: str) -> str:
        """Return the path of one of the run's files in the file system."""
        return f"{FOLDER}/{self.flow_run_id}/{name}"

    def location(self, name: str) -> str:
        """Return where a person can find a file: an S3 URI or a path, depending on the file system."""
        path = self.path(name)
        if bucket := getattr(self.files, "bucket_name", ""):
            folder = getattr(self.files, "bucket_folder", "").strip("/")
            return f"s3://{bucket}/{folder}/{path}" if folder else f"s3://{bucket}/{path}"
        base = getattr(self.files, "basepath", "")
        return f"{str(base).rstrip('/')}/{path}" if base else path

    def _write(self, name: str, content: bytes) -> str:
        self._with_retries(lambda: self.files.write_path(self.path(name), content), self.path(name))
        self.saved_names.add(name)
        return self.path(name)

    def _with_retries(self, call: Callable[[], _Result], path: str) -> _Result:
        """Return the result of `call`. Call it again if the file system does not answer.

        Raises:
            FileNotFoundError: The file does not exist.
        """
        started = time.monotonic()
        for delay in (*self.retry_delays_seconds, None):
            try:
                return call()
            except Exception as error:  # noqa: BLE001 (each file system has its own errors)
                if _is_missing_file(error):
                    raise FileNotFoundError(path) from None
                fault = error
            # Each call may itself take a long time to fail.
            if delay is None or time.monotonic() - started > _PATIENCE_SECONDS:
                break
            time.sleep(delay)
        raise StoreUnavailable(f"the run store could not read or write {path}: {type(fault).__name__}: {fault}")


def _seal(content: bytes) -> bytes:
    return b"%s %d %s" % (_PROGRAM, VERSION, hashlib.sha256(content).hexdigest().encode())


def _is_missing_file(error: Exception) -> bool:
    """Return whether an error means that a file is missing: a ValueError from a local disk, a ClientError from S3."""
    response = getattr(error, "response", {})
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    is_local = isinstance(error, ValueError) and "does not exist" in str(error)
    return is_local or isinstance(error, FileNotFoundError) or code in {"404", "NoSuchKey"}
