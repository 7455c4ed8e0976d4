"""Records which run has pushed a branch last, so that a later run can continue from there.

A record is found by the repository and by the branch or the number of the pull request, and never by a text on the
forge, which others can write. It is in the run store, beside the folders of the runs.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import urlsplit

from flows.forges.table import forge_of, page_of
from flows.state.files import BRANCHES
from flows.state.store import FileSystem, RunStore

_RECORD = "record"
_PORTS = {"https": ":443", "http": ":80"}


@dataclass(frozen=True)
class BranchRecord:
    """What is known about the last push of a run to a branch."""

    repo_url: str
    branch: str
    run_id: str
    """The run that made the pushed change, and whose saved state a later run can continue."""
    head: str
    """The pushed commit."""
    number: int = 0
    """The number of the pull request; 0 if no run has opened one."""
    pushed_at: str = ""
    session: str = ""
    """The digest of the conversation that the run had saved then; empty if it had saved none."""
    requested_at: str = ""
    """When the last follow-up was requested that has answered all comments; empty before the first one."""
    answered: Mapping[str, str] = field(default_factory=dict)
    """The comments that follow-ups have answered, and when each was last edited."""

    def pack(self) -> bytes:
        """Return the record as bytes, from which `unpack` can restore it."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Return the record that `pack` turned into these bytes."""
        return cls(**json.loads(packed))


def session_digest(session: bytes) -> str:
    """Return the digest of a saved conversation; empty without one."""
    return hashlib.sha256(session).hexdigest() if session else ""


class BranchRecords:
    """The records of one repository's branches. Each method raises `StoreUnavailable` if the store does not answer."""

    def __init__(self, files: FileSystem, repo_url: str) -> None:
        self._files = files
        self._repo_url = repo_url

    def of_branch(self, branch: str) -> BranchRecord | None:
        """Return the record of a branch; None if no run has pushed it."""
        record = self._read("branch", branch)
        return record if record and record.branch == branch else None

    def of_pull_request(self, number: int) -> BranchRecord | None:
        """Return the record of a pull request's branch; None if no run has opened or updated the pull request."""
        record = self._read("number", str(number))
        if record is None or record.number != number:
            return None
        newest = self.of_branch(record.branch)  # it is written first
        return newest if newest and newest.number == number else record

    def save_push(self, branch: str, run_id: str, head: str, session: bytes, number: int = 0) -> None:
        """Record a push. What is known about the pull request of the branch stays, until the branch has another one."""
        earlier = self.of_branch(branch) or BranchRecord(self._repo_url, branch, run_id, head)
        if number and earlier.number not in {0, number}:
            earlier = replace(earlier, answered={}, requested_at="")
        record = replace(
            earlier,
            repo_url=self._repo_url,
            run_id=run_id,
            head=head,
            number=number or earlier.number,
            pushed_at=datetime.now(UTC).isoformat(timespec="seconds"),
            session=session_digest(session),
        )
        self.save(record)

    def save(self, record: BranchRecord) -> None:
        """Save a record, so that it is found by its branch and by the number of its pull request."""
        self._store("branch", record.branch).save_sealed(_RECORD, record.pack())
        if record.number:
            self._store("number", str(record.number)).save_sealed(_RECORD, record.pack())

    def folder(self, branch: str) -> RunStore:
        """Return the folder with what is saved of a branch."""
        return self._store("branch", branch)

    def _read(self, kind: str, name: str) -> BranchRecord | None:
        content = self._store(kind, name).read_sealed(_RECORD)
        if content is None:
            return None
        try:
            record = BranchRecord.unpack(content)
        except (TypeError, ValueError):  # of another version of this program
            return None
        return record if _place(record.repo_url) == _place(self._repo_url) else None

    def _store(self, kind: str, name: str) -> RunStore:
        key = hashlib.sha256("\0".join((_place(self._repo_url), kind, name)).encode()).hexdigest()
        return RunStore(self._files, f"{BRANCHES}/{key}")


def with_answers(record: BranchRecord, answered: Iterable[tuple[str, str]], requested_at: str) -> BranchRecord:
    """Return the record with more answered comments. `requested_at` is empty if some comments are not answered."""
    answers: dict[str, Any] = {**record.answered, **dict(answered)}
    return replace(record, answered=answers, requested_at=requested_at or record.requested_at)


def _place(repo_url: str) -> str:
    """Return the repository's address in one form: without the scheme, and without the port if it is the usual one.

    A server that is no known forge may tell upper from lower case.
    """
    page = page_of(repo_url.rstrip("/"))
    parts = urlsplit(page)
    host = parts.netloc.casefold().removesuffix(_PORTS.get(parts.scheme, ""))
    return host + (parts.path.casefold() if forge_of(page) else parts.path)
