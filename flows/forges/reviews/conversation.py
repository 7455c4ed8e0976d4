"""Defines what people say about a pull request or an issue: authors, comments, threads, issues and failed checks.

Any text, name and path in here is untrusted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class WriteAccess(Enum):
    """Whether an account may push to the repository."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"
    """The forge does not tell this token."""


@dataclass(frozen=True)
class Author:
    """An account on a forge. Only the id identifies it, because a name can be changed, and then taken by another."""

    id: str
    """Empty for an account that no longer exists."""
    login: str
    is_bot: bool = False


@dataclass(frozen=True)
class Comment:
    """One comment, or the summary of a review."""

    id: str
    author: Author
    text: str
    created: datetime
    edited: datetime
    """The moment of the last edit; that of the creation if there was none."""


@dataclass(frozen=True)
class Thread:
    """A comment and the replies to it. One without a path belongs to the pull request as a whole."""

    id: str
    comments: tuple[Comment, ...]
    path: str = ""
    line: int = 0
    """The line in the file; 0 for the file as a whole."""
    is_resolved: bool = False
    is_outdated: bool = False
    """Whether the lines have changed since. Not every forge tells."""


@dataclass(frozen=True)
class Conversation:
    """The threads of a pull request. Hidden, deleted and internal comments are not among them."""

    threads: tuple[Thread, ...]
    omission: str = ""
    """A sentence about what was not read; empty if everything was."""


@dataclass(frozen=True)
class Issue:
    """An issue, or a work item of Azure DevOps."""

    number: int
    url: str
    """The address of its page, which never comes from an answer of the forge."""
    title: str
    text: Comment
    """The description. Some forges do not tell when it was edited: then `edited` is the last change of any kind."""
    title_edited: datetime
    """The moment of the last edit of the title. Most forges do not tell: then it is the last change of any kind."""
    is_open: bool
    comments: tuple[Comment, ...] = ()
    omission: str = ""
    """A sentence about what was not read; empty if everything was."""

    @property
    def thread(self) -> Thread:
        """The comments as one thread."""
        return Thread("issue", self.comments)


@dataclass(frozen=True)
class FailedCheck:
    """A check, a status or a job that failed on a commit."""

    name: str
    url: str = ""
    """Its page; empty if it is on another server than the repository."""
    description: str = ""


@dataclass(frozen=True)
class FailedChecks:
    """The failed checks of a commit."""

    checks: Sequence[FailedCheck]
    omission: str = ""
    """A sentence about what was not read; empty if everything was."""
