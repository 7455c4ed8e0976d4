"""Defines what all clients of forges have in common: pull requests, statuses of commits, and the calls."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, ClassVar, Final, Self

from pydantic import SecretStr

from flows.errors import ForgeUnavailable, PullRequestRefused, RunError
from flows.forges.api.client import NOT_FOUND, Answer, ApiClient, no_permission
from flows.forges.base import Forge
from flows.forges.disarm import disarm_line

TITLE_LIMIT: Final = 247
"""The maximum length of a title. All forges accept 255 characters, among them the mark of a draft."""

PAGE_SIZE: Final = "50"
"""How many pull requests of one branch are looked at. The forges accept as many, and the newest come first."""

STATUS_CHARACTERS: Final = 140
"""The maximum length of a status's description on GitHub, which has the lowest limit of all forges."""


class State(StrEnum):
    """Whether a pull request can still be merged."""

    OPEN = "open"
    CLOSED = "closed"
    MERGED = "merged"


class Refusal(StrEnum):
    """Why a forge created no pull request, in cases in which the caller can do something else."""

    EXISTS = "there is a pull request for this branch already"
    NO_COMMITS = "the branch has no commit that its base branch lacks"
    NO_DRAFTS = "the forge accepts no drafts in this repository"


class CommitState(StrEnum):
    """The state of a commit's status."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"


@dataclass(frozen=True)
class PullRequestDraft:
    """What to open a pull request with."""

    title: str
    body: str
    head: str
    """The branch with the commits."""
    base: str
    """The branch into which they shall be merged."""
    is_draft: bool = False


@dataclass(frozen=True)
class PullRequest:
    """A pull request on a forge."""

    number: int
    url: str
    """The address of its page, which never comes from an answer of the forge."""
    state: State
    is_draft: bool
    title: str
    """The title without the mark by which some forges recognise a draft."""
    body: str
    head: str
    base: str


@dataclass(frozen=True)
class CommitStatus:
    """What the forge shows beside a commit."""

    commit: str
    state: CommitState
    description: str
    """One line. It is disarmed, and what is after its first 140 characters is cut off."""
    url: str = ""
    """The page with more information."""
    name: str = "claude-code"


@dataclass(frozen=True)
class Repository:
    """One repository on a forge, and the credentials for its API."""

    forge: Forge
    page: str
    """The address of the repository's page."""
    path: str
    """The path of the repository below the root of the forge, percent-encoded, without slashes at its ends."""
    api_url: str
    token: SecretStr
    email: str = ""


class ForgeApi(ABC):
    """The calls to the API of the forge that has one repository.

    Each call is one request or a few, and none is repeated here: after a lost answer, only the next attempt's `find`
    can tell whether a write has happened.

    Raises:
        ForgeAuthFailed: The forge refused the token.
        ForgePermissionMissing: The token lacks a permission.
        ForgeUnavailable: The forge did not answer, or allows no more requests now. The call can be repeated.
        PullRequestRefused: The forge does not accept the request for another reason.
    """

    body_limit: ClassVar[int] = 60_000
    """The maximum length of a pull request's body."""
    hides_html_comments: ClassVar[bool] = True
    """Whether an HTML comment in a body is stored and not shown."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self._client = ApiClient(repository.api_url, self._headers(repository))

    def find(self, head: str, base: str) -> list[PullRequest]:
        """Return the newest pull requests from one branch of the repository, in any state, newest first.

        They may be for any base branch, because a person can change it. One that is open for `base` is among them.
        """
        with _readable():
            requests = [_checked(self._parse(each)) for each in self._find(head, base)]
        return [each for each in requests if each.head == head]

    def get(self, number: int) -> PullRequest:
        """Return a pull request with its whole body."""
        return self._request_in(self._get(number), f"show pull request {number}")

    def create(self, draft: PullRequestDraft) -> PullRequest | Refusal:
        """Open a pull request."""
        answer = self._create(draft)
        if not answer.is_success and (refusal := self._refusal(answer, draft)):
            return refusal
        # If the answer cannot be read, the next attempt finds the pull request.
        with _readable(ForgeUnavailable if answer.is_success else PullRequestRefused):
            return _checked(self._parse(self._success(answer, "open the pull request")))

    def update(self, current: PullRequest, title: str, body: str) -> PullRequest:
        """Replace the title and the body. A draft stays a draft."""
        with _readable():
            answer = self._update(current, title, body)
        return self._request_in(answer, f"update pull request {current.number}")

    def set_status(self, status: CommitStatus) -> None:
        """Set the status of a commit."""
        answer = self._set_status(replace(status, description=disarm_line(status.description, STATUS_CHARACTERS)))
        self._success(answer, "set the status of the commit")

    def add_labels(self, number: int, labels: Sequence[str]) -> str:
        """Add labels; return why the forge did not, or an empty text."""
        return _text_of_refusal(lambda: self._add_labels(number, labels)) if labels else ""

    def add_reviewers(self, number: int, reviewers: Sequence[str]) -> str:
        """Ask for reviews; return why the forge did not, or an empty text.

        Some forges refuse all reviewers if they do not know one, so each is then asked for alone.
        """

        def add() -> str:
            refusal = self._add_reviewers(number, reviewers)
            if not refusal or len(reviewers) == 1:
                return refusal
            return "; ".join(filter(None, (self._add_reviewers(number, [each]) for each in reviewers)))

        return _text_of_refusal(add) if reviewers else ""

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @staticmethod
    @abstractmethod
    def _headers(repository: Repository) -> dict[str, str]:
        """Return the headers of each request, among them the token."""

    @abstractmethod
    def _find(self, head: str, base: str) -> Iterable[dict[str, Any]]:
        """Return the newest pull requests of the repository, and not of a fork, from at least this branch."""

    @abstractmethod
    def _get(self, number: int) -> Answer: ...

    @abstractmethod
    def _create(self, draft: PullRequestDraft) -> Answer: ...

    @abstractmethod
    def _refusal(self, answer: Answer, draft: PullRequestDraft) -> Refusal | None:
        """Return why the forge created no pull request, if the caller can do something else."""

    @abstractmethod
    def _update(self, current: PullRequest, title: str, body: str) -> Answer: ...

    @abstractmethod
    def _set_status(self, status: CommitStatus) -> Answer: ...

    @abstractmethod
    def _add_labels(self, number: int, labels: Sequence[str]) -> str:
        """Add labels; return which ones cannot be added."""

    @abstractmethod
    def _add_reviewers(self, number: int, reviewers: Sequence[str]) -> str:
        """Ask for reviews; return whom the forge cannot ask."""

    @abstractmethod
    def _parse(self, request: dict[str, Any]) -> PullRequest:
        """Return the pull request in an answer."""

    def _page(self, number: int) -> str:
        return self.repository.forge.pull_request_page(self.repository.page, number)

    def _request_in(self, answer: Answer, action: str) -> PullRequest:
        with _readable():
            return _checked(self._parse(self._success(answer, action)))

    def _success(self, answer: Answer, action: str) -> Any:  # noqa: ANN401 (JSON)
        """Return the body of an answer; raise the named error for any answer that is a refusal."""
        if answer.status == NOT_FOUND:
            raise no_permission(answer, action)
        if not answer.is_success:
            raise PullRequestRefused(
                f"the forge did not {action}: {answer.reason}. Correct this; if it makes no sense, check that "
                "forge_api_url is the API of this kind of forge"
            )
        return answer.body


def _checked(request: PullRequest) -> PullRequest:
    """Return the pull request if its fields have their types. The number becomes a part of addresses."""
    texts = (request.title, request.body, request.head, request.base)
    if type(request.number) is not int or not all(isinstance(text, str) for text in texts):
        raise TypeError("a field has another type")
    return request


@contextmanager
def _readable(name: type[RunError] = PullRequestRefused) -> Iterator[None]:
    """Give the errors of a parser a name."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise name(
            f"the forge's API gave an answer of an unknown form ({type(error).__name__}: {error}): check that "
            "forge_api_url is the API of this kind of forge"
        ) from error


def _text_of_refusal(call: Callable[[], str]) -> str:
    try:
        with _readable():
            return call()
    except RunError as error:
        return str(error)
