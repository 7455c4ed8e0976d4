"""What a stand-in of a forge stores about reviews and issues, and how a test says it."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from tests.support.forges.stand_in import Call, ForgeStandIn, Reply

START: Final = datetime(2026, 11, 28, 10, tzinfo=UTC)
"""The moment from which a test counts minutes."""
HEAD: Final = "c0ffee" * 6 + "c0ff"
ELSEWHERE: Final = "https://elsewhere.example"
"""The server of all addresses in answers, to which no token may go."""
OWN: Final = "our-bot"
SECRET: Final = "a-secret"
"""The secret of a run's comments."""


@dataclass(frozen=True)
class Account:
    """An account on the forge."""

    number: int
    permission: str = "read"
    is_bot: bool = False


@dataclass
class StoredComment:
    """A comment on a pull request or an issue, as the stand-in stores it."""

    id: int
    author: str
    text: str
    minute: float = 0
    edited: float | None = None
    submitted: float | None = None
    """The minute at which the review of the comment was submitted, if it was later."""
    number: int = 1
    is_on_issue: bool = False
    path: str = ""
    line: int = 0
    is_old_side: bool = False
    answers: int = 0
    """The id of the first comment of its thread."""
    review: str = ""
    """The state of the review that has this text as its summary."""
    is_resolved: bool = False
    is_outdated: bool = False
    hidden: str = ""
    """Why a run must not read it: `hidden`, `deleted`, `system`, `internal` or `pending`."""

    @property
    def root(self) -> int:
        """The id of the first comment of its thread."""
        return self.answers or self.id


@dataclass
class StoredIssue:
    """An issue, as the stand-in stores it."""

    number: int
    title: str
    text: str
    author: str = "ada"
    edited: float | None = None
    """The minute of the last edit of its text."""
    changed: float = 0
    """The minute of its last change of any kind."""
    is_open: bool = True


@dataclass(frozen=True)
class StoredCheck:
    """A check of a commit: `passed`, `failed` or `pending`."""

    name: str
    result: str
    url: str = ""
    is_run: bool = False
    """Whether it is a check run of GitHub, and not a status."""


class ReviewState(ABC):
    """The comments, issues, checks and accounts of a stand-in, and its answers about them."""

    ids: ClassVar[Callable[[int], Any]] = int
    """Makes the id of an account from its number."""

    def __init__(self, forge: ForgeStandIn) -> None:
        self.forge = forge
        self.comments: list[StoredComment] = []
        self.issues: list[StoredIssue] = []
        self.checks: list[StoredCheck] = []
        self.minute: float = 60
        """The minute at which the requests arrive."""
        self.shows_account = True
        self.is_administrator = True
        """Whether the token may ask for the permissions of others."""
        self.has_issues = True
        self.repositories = {"acme/widgets"}
        """The repositories that the stand-in of GitHub shows; all have the same issues."""
        self.accounts = {
            OWN: Account(90, "write", is_bot=True),
            "ada": Account(11, "write"),
            "grace": Account(12, "admin"),
            "stranger": Account(13, "read"),
            "renovate": Account(14, "write", is_bot=True),
        }

    def say(self, author: str, text: str, minute: float = 0, **fields: Any) -> StoredComment:  # noqa: ANN401 (of any type)
        """Store a comment of a person."""
        comment = StoredComment(len(self.comments) + 1, author, text, minute, **fields)
        self.comments.append(comment)
        return comment

    def write(self, text: str, number: int, **fields: Any) -> StoredComment:  # noqa: ANN401 (of any type)
        """Store a comment of the token's account."""
        return self.say(OWN, text, self.minute, number=number, **fields)

    def account_id(self, login: str) -> Any:  # noqa: ANN401 (JSON)
        """Return the id of an account."""
        return type(self).ids(self.accounts[login].number)

    def login_of(self, account_id: str) -> str:
        """Return the name of an account; empty if there is none with the id."""
        return next((login for login in self.accounts if str(self.account_id(login)) == account_id), "")

    def on(self, number: int | str, *, is_issue: bool = False) -> list[StoredComment]:
        """Return the comments on a pull request or an issue."""
        return [each for each in self.comments if (each.number, each.is_on_issue) == (int(number), is_issue)]

    def numbered(self, comment_id: int | str) -> StoredComment | None:
        """Return the comment with this id."""
        return next((each for each in self.comments if each.id == int(comment_id)), None)

    def issue(self, number: int | str) -> StoredIssue | None:
        """Return the issue with this number."""
        return next((each for each in self.issues if each.number == int(number)), None)

    @property
    def own_comments(self) -> list[StoredComment]:
        """The comments of the token's account."""
        return [each for each in self.comments if each.author == OWN]

    def handle(self, call: Call) -> Reply | None:
        """Answer a request about reviews, issues, checks or accounts; None if it is about something else."""
        matching = (answer for end, answer in self.answers().items() if route_ends(call, end))
        answer = next(matching, None)
        return answer(call) if answer else None

    @abstractmethod
    def answers(self) -> dict[str, Callable[[Call], Reply]]:
        """Return what answers a request, by a pattern for the end of its route's path."""


def moment(minute: float) -> str:
    """Return a moment as most forges write it."""
    return (START + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")


def threads_of(comments: Iterable[StoredComment]) -> list[list[StoredComment]]:
    """Return the comments by threads."""
    threads: dict[int, list[StoredComment]] = {}
    for each in comments:
        threads.setdefault(each.root, []).append(each)
    return list(threads.values())


def page_of(items: list[Any], call: Call, size_name: str) -> tuple[list[Any], bool]:
    """Return the items of the page that a request asks for, and whether there is another one."""
    size, number = int(call.query[size_name][0]), int(call.query["page"][0])
    assert 1 <= size <= 100
    return items[size * (number - 1) : size * number], len(items) > size * number


def linked_page(items: list[Any], call: Call, size_name: str = "per_page") -> Reply:
    """Return a page with a header that has the address of the next one, on another server."""
    page, has_next = page_of(items, call, size_name)
    link = f'<{ELSEWHERE}/next>; rel="next", ' if has_next else ""
    return Reply(200, page, {"link": f'{link}<{ELSEWHERE}/first>; rel="first"'})


def route_ends(call: Call, pattern: str) -> bool:
    """Whether the path of the request's route ends with a pattern."""
    return bool(re.search(f"{pattern}$", call.route.path))
