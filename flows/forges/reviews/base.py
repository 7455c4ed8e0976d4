"""Defines what the clients for reviews have in common: threads, permissions, replies, failed checks and issues."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import httpx

from flows.errors import ForgePermissionMissing, ForgeUnavailable, IssueNotFound, PullRequestRefused
from flows.forges.api.base import CommitStatus, ForgeApi, Repository
from flows.forges.api.client import NOT_FOUND, Answer, Query, no_permission
from flows.forges.reviews.conversation import (
    Author,
    Comment,
    Conversation,
    FailedCheck,
    FailedChecks,
    Issue,
    Thread,
    WriteAccess,
)
from flows.forges.reviews.parsing import readable
from flows.forges.reviews.replies import ISSUE, SUMMARY, Note, note_text

_GONE: Final = 410
_PAGE_SIZE: Final = 50
_MAX_ITEMS: Final = 1_000
_FAR: Final = 10
"""How many times as many items are read of a list that begins with the oldest. GitLab accepts 5,000 comments."""
_MAX_SKIPPED: Final = 5
_OWN_STATUS: Final = CommitStatus.name


class ReviewApi(ForgeApi):
    """The calls about reviews and issues of one repository, beside those about its pull requests.

    A write is one request, and is never repeated here: after a lost answer, the caller reads the threads again, and
    looks for the comment with `own_comment`. A list is read page by page. The address of a page is made here, and
    never comes from an answer.

    Raises:
        ForgeAuthFailed, ForgePermissionMissing, ForgeUnavailable, PullRequestRefused: See `ForgeApi`.
        IssueNotFound: The forge has no such issue, or no issues in this repository.
    """

    def __init__(self, repository: Repository, *, page_size: int = _PAGE_SIZE, max_items: int = _MAX_ITEMS) -> None:
        super().__init__(repository)
        self._page_size = self._size = page_size
        self._max_items = max_items
        self._items = self._skipped = 0
        self._limit = max_items
        self._is_cut = self._begins_with_newest = self._leaves_out_older = False
        self._accesses: dict[str, WriteAccess] = {}

    def threads(self, number: int) -> Conversation:
        """Return all threads of a pull request, with all comments."""
        action = f"list the comments of pull request {number}"
        with self._reading():
            threads = tuple(thread for thread in self._threads(number, action) if thread.comments)
        return Conversation(threads, self._omission("comments"))

    def may_write(self, author: Author) -> WriteAccess:
        """Return whether an account may push. The forge is asked once for each account."""
        if not author.id:
            return WriteAccess.NO
        if author.id not in self._accesses:
            with readable():
                self._accesses[author.id] = self._may_write(author)
        return self._accesses[author.id]

    def own_account(self) -> Author | None:
        """Return the account of the token; None if the forge does not tell.

        The answer to each write has the account as the author of the new comment.
        """
        try:
            with readable():
                return self._own_account()
        except ForgePermissionMissing:
            return None

    def reply(self, number: int, thread: Thread, note: Note) -> Comment:
        """Answer a thread. A thread without a path that the forge cannot continue gets a new comment."""
        text = note_text(note, thread, html_comments=self.hides_html_comments)
        try:
            answer = self._reply(number, thread, text)
        except (ValueError, IndexError, KeyError) as error:
            raise PullRequestRefused(f"{thread.id!r} is not a thread that {self.repository.forge.name} has") from error
        return self._written(answer, f"answer a thread of pull request {number}")

    def comment(self, number: int, note: Note) -> Comment:
        """Write a comment about the run on a pull request; its key has the target `SUMMARY`."""
        text = note_text(note, SUMMARY, html_comments=self.hides_html_comments)
        return self._written(self._comment(number, text), f"comment on pull request {number}")

    def edit_comment(self, number: int, comment_id: str, note: Note) -> Comment:
        """Replace the text of a comment that `comment` wrote."""
        text = note_text(note, SUMMARY, html_comments=self.hides_html_comments)
        if not all(part.isdecimal() and part.isascii() for part in comment_id.split("-")):
            raise PullRequestRefused(f"{comment_id!r} is not the id of a comment: write a new one")
        return self._written(self._edit_comment(number, comment_id, text), f"edit a comment on pull request {number}")

    def failing_checks(self, commit: str) -> FailedChecks:
        """Return the checks that failed on a commit, without the status that this program sets."""
        checks, omissions = list[FailedCheck](), list[str]()
        for source in self._check_sources(commit):
            try:
                with self._reading():
                    checks += source
            except ForgePermissionMissing as error:
                omissions.append(str(error))
            omissions.append(self._omission("checks"))
        others = dict.fromkeys(each for each in checks if each.name != _OWN_STATUS)
        return FailedChecks(tuple(others), "; ".join(filter(None, omissions)))

    def issue(self, number: int) -> Issue:
        """Return an issue with all its comments."""
        with self._reading():
            return self._issue(number, f"show issue {number}")

    def comment_on_issue(self, number: int, note: Note) -> Comment:
        """Write a comment on an issue; its key has the target `ISSUE`."""
        text = note_text(note, ISSUE, html_comments=self.hides_html_comments)
        answer = self._comment_on_issue(number, text)
        return self._written(self._existing(answer, number), f"comment on issue {number}")

    def reference(self, number: int, page: str) -> str:
        """Return how a text in the repository with this page names an issue of this one, so that the forge links it."""
        return f"#{number}" if page == self.repository.page else self._reference_from_elsewhere(number)

    def _reference_from_elsewhere(self, number: int) -> str:
        return f"{unquote(self.repository.path)}#{number}"

    @abstractmethod
    def _threads(self, number: int, action: str) -> Iterable[Thread]: ...

    @abstractmethod
    def _may_write(self, author: Author) -> WriteAccess: ...

    @abstractmethod
    def _own_account(self) -> Author | None: ...

    @abstractmethod
    def _reply(self, number: int, thread: Thread, text: str) -> Answer: ...

    @abstractmethod
    def _comment(self, number: int, text: str) -> Answer: ...

    @abstractmethod
    def _edit_comment(self, number: int, comment_id: str, text: str) -> Answer: ...

    @abstractmethod
    def _check_sources(self, commit: str) -> Sequence[Iterator[FailedCheck]]:
        """Return the failed checks by the places in which the forge has them. A token may lack the right to one."""

    @abstractmethod
    def _issue(self, number: int, action: str) -> Issue: ...

    @abstractmethod
    def _comment_on_issue(self, number: int, text: str) -> Answer: ...

    @abstractmethod
    def _parse_comment(self, comment: Mapping[str, Any]) -> Comment:
        """Return the comment in an answer."""

    def _written(self, answer: Answer, action: str) -> Comment:
        # If the answer to a write cannot be read, the next attempt finds the comment.
        with readable(ForgeUnavailable if answer.is_success else PullRequestRefused):
            return self._parse_comment(self._granted(answer, action))

    def _granted(self, answer: Answer, action: str) -> Any:  # noqa: ANN401 (JSON)
        """Return the body of an answer; raise the named error for a refusal."""
        if answer.status == NOT_FOUND:
            raise no_permission(answer, action)
        if not answer.is_success:
            raise PullRequestRefused(f"the forge did not {action}: {answer.reason}")
        return answer.body

    def _existing(self, answer: Answer, number: int) -> Answer:
        """Return the answer about an issue, if there is such an issue."""
        if answer.status in {NOT_FOUND, _GONE}:
            raise IssueNotFound(
                f"{self.repository.page} has no issue {number} that the git token can see ({answer.reason}): check the "
                "number, whether the repository's issues are switched on, and whether the token may read issues"
            )
        return answer

    def _list(
        self, path: str, action: str, *, size_name: str = "per_page", query: Query | None = None, field: str = ""
    ) -> Iterator[Any]:
        """Yield the items of a list, page by page. `field` has the list if the answer is an object."""
        page, length = 1, 0
        while not self._is_cut:
            pages = {size_name: str(self._size), "page": str(page)}
            try:
                answer = self._client.send("GET", path, query={**(query or {}), **pages})
            except ForgeUnavailable as error:
                length += self._use_small_pages(error)
                page = length + 1
                continue
            body = self._granted(answer, action)
            items = body[field] if field else body
            yield from self._counted(items)
            if not items or not self._has_next(answer, len(items)):
                return
            page, length = page + 1, length + len(items)

    def _newest_first(self, items: Iterable[Any]) -> list[Any]:
        """Return a list that is read from its newest item on, the oldest first. If it is long, the newest count."""
        self._begins_with_newest = True
        return list(items)[::-1]

    def _newest_last(self, path: str, action: str, *, size_name: str = "per_page") -> list[Any]:
        """Return the newest items of a list that the forge always begins with the oldest."""
        self._limit = _FAR * self._max_items
        return self._newest(list(self._list(path, action, size_name=size_name)))

    def _newest(self, items: Any) -> list[Any]:  # noqa: ANN401 (JSON)
        """Return the newest items of a whole list, which begins with the oldest."""
        if not isinstance(items, list | None):
            raise TypeError("a list is something else")
        existing = [item for item in items or () if item is not None]  # Gitea has such items
        self._leaves_out_older |= len(existing) > self._max_items
        return existing[-self._max_items :]

    def _use_small_pages(self, error: ForgeUnavailable) -> int:
        """Ask for one item at a time if an answer was too long. Return how many items must be skipped: none or one."""
        if not isinstance(error.__cause__, httpx.ReadError) or "too long" not in str(error.__cause__):
            raise error
        if self._size > 1:
            self._size = 1
            return 0
        self._skipped += 1
        self._is_cut = self._skipped >= _MAX_SKIPPED
        return 1

    def _has_next(self, answer: Answer, length: int) -> bool:
        """Whether there is a page after one of this length. A server may have smaller pages than it was asked for."""
        if "link" in answer.headers:
            return 'rel="next"' in answer.headers["link"]
        return length >= self._size

    def _counted(self, items: Any) -> Iterator[Any]:  # noqa: ANN401 (JSON)
        """Yield the items of a page until one call has read as many as it may."""
        if not isinstance(items, list | None):
            raise TypeError("a list is something else")
        for item in items or ():
            if self._items >= self._limit:
                self._is_cut = True
                return
            self._items += 1
            if item is not None:  # Gitea has such items
                yield item

    @contextmanager
    def _reading(self) -> Iterator[None]:
        self._items, self._skipped, self._limit, self._size = 0, 0, self._max_items, self._page_size
        self._is_cut = self._begins_with_newest = self._leaves_out_older = False
        with readable():
            yield

    def _omission(self, things: str) -> str:
        skipped = f"{self._skipped} of the {things} are too long to be read" if self._skipped else ""
        first, others = ("newest", "older") if self._begins_with_newest else ("first", "later")
        cut = f"only the {first} {self._items} {things} were read; the {others} ones are not considered"
        older = f"only the newest {self._max_items} {things} are considered, and not the older ones"
        return "; ".join(filter(None, (skipped, cut if self._is_cut else "", older if self._leaves_out_older else "")))

    def _own_page(self, url: object) -> str:
        """Return an address from an answer if it is on the repository's own server; otherwise an empty text."""
        try:
            page, own = urlsplit(str(url or "")), urlsplit(self.repository.page)
            is_own = (page.scheme, page.hostname, page.port) == (own.scheme, own.hostname, own.port)
        except ValueError:
            return ""
        is_plain = str(url).isascii() and str(url).isprintable() and not set(str(url)) & set(" <>()[]\"'`\\|")
        return str(url) if is_own and is_plain and "@" not in page.netloc else ""
