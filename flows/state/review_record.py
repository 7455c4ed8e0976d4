"""Keeps in the run store what a run of follow_up was asked for, and which of the comments it has answered."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Self

from flows.state.files import StateFile
from flows.state.store import RunStore


@dataclass(frozen=True)
class HeardComment:
    """A comment that the run hears. The agent knows it by its place in the list, counted from 1."""

    thread: str
    """The id of its thread."""
    id: str
    edited: str


@dataclass(frozen=True)
class Review:
    """What a run of follow_up was asked for, the same for every attempt."""

    branch: str
    requested_at: str
    number: int = 0
    """The number of the pull request; 0 without one."""
    url: str = ""
    base: str = ""
    """The branch that the pull request is for; empty without one."""
    request: str = ""
    """The comments and the failed checks, as a part of a prompt."""
    comments: tuple[HeardComment, ...] = ()
    unheard: tuple[str, ...] = ()
    """A line for each new comment that the run does not hear."""
    earlier_summary: str = ""
    """The agent's words about the change before any review."""
    omissions: tuple[str, ...] = ()
    """What was not read."""

    @property
    def threads(self) -> tuple[str, ...]:
        """The ids of the threads to answer."""
        return tuple(dict.fromkeys(comment.thread for comment in self.comments))

    def pack(self) -> bytes:
        """Return the review as bytes, from which `unpack` can restore it."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Return the review that `pack` turned into these bytes."""
        fields = json.loads(packed)
        comments = tuple(HeardComment(**comment) for comment in fields.pop("comments"))
        unheard, omissions = tuple(fields.pop("unheard")), tuple(fields.pop("omissions"))
        return cls(comments=comments, unheard=unheard, omissions=omissions, **fields)


@dataclass(frozen=True)
class Replies:
    """What a run has written on the pull request."""

    threads: tuple[str, ...] = ()
    """The ids of the threads that are done with: they have an answer, or are missing."""
    summary: str = ""
    """The id of the comment about the whole run; empty before it is written."""
    missing: tuple[str, ...] = ()
    """The ids of the threads that were not found any more when they should be answered."""

    def with_thread(self, thread: str, *, is_missing: bool = False) -> "Replies":
        """Return the record with one more thread."""
        missing = (*self.missing, thread) if is_missing else self.missing
        return replace(self, threads=(*self.threads, thread), missing=missing)


def load_review(store: RunStore) -> Review | None:
    """Return the review that an earlier attempt has saved; None if none has."""
    content = store.read_sealed(StateFile.REVIEW)
    return Review.unpack(content) if content else None


def load_replies(store: RunStore) -> Replies:
    """Return what earlier attempts have written."""
    content = store.read_sealed(StateFile.REPLIES)
    if not content:
        return Replies()
    fields = json.loads(content)
    return Replies(tuple(fields["threads"]), fields["summary"], tuple(fields["missing"]))


def save_replies(store: RunStore, replies: Replies) -> None:
    """Save what the run has written so far."""
    store.save_sealed(StateFile.REPLIES, json.dumps(asdict(replies)).encode())
