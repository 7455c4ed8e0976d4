"""Decides which comments of a pull request or an issue a run listens to, and says why it does not listen to others."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from flows.forges.reviews.conversation import Author, Comment, Thread, WriteAccess
from flows.forges.reviews.replies import is_own, key_of

MOST_HEARD: Final = 100
"""How many comments one run listens to. More would not fit into a prompt, and forges accept few answers in a minute."""


class Reason(StrEnum):
    """Why a run does not listen to a comment."""

    LATER = "written after the run was requested"
    EDITED = "edited after the run was requested"
    EDITED_SINCE = "edited after an earlier run had answered it: write a new comment"
    RESOLVED = "the thread is resolved"
    OUTDATED = "the lines have changed since: comment on the new ones"
    ANOTHER_KEY = "it ends as comments of this program do, but the run's git token belongs to another account"
    OWN_ACCOUNT = "the run's git token belongs to the same account: to be heard, add the id to reviewers_heard"
    BOT = "a bot: to be heard, add the id to reviewers_heard"
    NAME = "reviewers_heard has the name of the account: to be heard, put the id there"
    NO_ACCOUNT = "the account no longer exists"
    NO_ACCESS = "the author may not push to the repository"
    TOO_MANY = f"a run listens to {MOST_HEARD} comments: start another run afterwards"
    UNKNOWN_ACCESS = "the forge does not tell whether the author may push: to be heard, add the id to reviewers_heard"


@dataclass(frozen=True)
class ThreadComment:
    """One comment in its thread."""

    thread: Thread
    comment: Comment


@dataclass(frozen=True)
class Unheard(ThreadComment):
    """A new comment that a run does not listen to."""

    reason: Reason


@dataclass(frozen=True)
class Selection:
    """The comments without an answer, and the new ones that a run does not listen to."""

    heard: tuple[ThreadComment, ...]
    unheard: tuple[Unheard, ...]


@dataclass(frozen=True)
class Rules:
    """Which comments are new, and whose comments count."""

    requested_at: datetime
    """When the run was requested. What was written or edited later may not be what the requester has read."""
    last_requested_at: datetime | None = None
    """When the last run on the pull request was requested; None if there was none."""
    account: Author | None = None
    """The account of the token; None if the forge does not tell."""
    reviewers_heard: frozenset[str] = frozenset()
    """The ids of accounts that count without being asked about; a bot counts only if its id is here."""
    answered_ids: frozenset[str] = frozenset()
    """The ids of the comments that earlier runs have answered. An edit does not make them new."""


def select_comments(threads: Iterable[Thread], rules: Rules, may_write: Callable[[Author], WriteAccess]) -> Selection:
    """Return the comments without an answer. `may_write` is asked only about authors whose comments would count.

    A comment that the last run did not hear is heard now if its reason is gone. Otherwise it is not named again.
    """
    heard, unheard = list[ThreadComment](), list[Unheard]()
    for each in _not_done(threads, rules):
        reason = _reason(each, rules, may_write)
        if reason is None and len(heard) < MOST_HEARD:
            heard.append(each)
        elif reason is None:
            unheard.append(Unheard(each.thread, each.comment, Reason.TOO_MANY))
        elif _is_new(each.comment, rules):
            unheard.append(Unheard(each.thread, each.comment, reason))
    return Selection(tuple(heard), tuple(unheard))


def _is_new(comment: Comment, rules: Rules) -> bool:
    return rules.last_requested_at is None or comment.edited > rules.last_requested_at


def _not_done(threads: Iterable[Thread], rules: Rules) -> Iterator[ThreadComment]:
    """Yield the comments that are not answered, or were edited since, but not those of this program."""
    for thread in threads:
        for comment in thread.comments:
            # For some forges, the end of a thread is an edit.
            is_past = thread.is_resolved or not _is_new(comment, rules)
            is_done = is_past and comment.id in rules.answered_ids
            if not is_done and not is_own(comment, rules.account):
                yield ThreadComment(thread, comment)


def _reason(each: ThreadComment, rules: Rules, may_write: Callable[[Author], WriteAccess]) -> Reason | None:
    """Return why a comment does not count; None if it does."""
    return (
        _reason_of_time(each.comment, rules)
        or (Reason.ANOTHER_KEY if key_of(each.comment.text) else None)
        or _reason_of_thread(each.thread)
        or _reason_of_author(each.comment.author, rules, may_write)
    )


def _reason_of_time(comment: Comment, rules: Rules) -> Reason | None:
    if comment.created > rules.requested_at:
        return Reason.LATER
    if comment.edited > rules.requested_at:
        return Reason.EDITED
    return Reason.EDITED_SINCE if comment.id in rules.answered_ids else None


def _reason_of_thread(thread: Thread) -> Reason | None:
    if thread.is_resolved:
        return Reason.RESOLVED
    return Reason.OUTDATED if thread.is_outdated else None


def _reason_of_author(author: Author, rules: Rules, may_write: Callable[[Author], WriteAccess]) -> Reason | None:
    if not author.id:
        return Reason.NO_ACCOUNT
    if author.id in rules.reviewers_heard:
        return None
    reason = _reason_of_account(author, rules, may_write)
    return Reason.NAME if reason and _is_named(author, rules) else reason


def _is_named(author: Author, rules: Rules) -> bool:
    """Whether the list of ids has the name of the account, as a person writes it."""
    names = {author.login.casefold(), author.login.removesuffix("[bot]").casefold()}
    return any(each.removeprefix("@").casefold() in names for each in rules.reviewers_heard)


def _reason_of_account(author: Author, rules: Rules, may_write: Callable[[Author], WriteAccess]) -> Reason | None:
    if rules.account and author.id == rules.account.id:
        return Reason.OWN_ACCOUNT
    if author.is_bot:
        return Reason.BOT
    access = may_write(author)
    if access is WriteAccess.NO:
        return Reason.NO_ACCESS
    return Reason.UNKNOWN_ACCESS if access is WriteAccess.UNKNOWN else None
