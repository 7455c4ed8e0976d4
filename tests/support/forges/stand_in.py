"""Base class of the stand-ins of forges: servers on 127.0.0.1 with pull requests, faults, and a log of requests.

Each request is checked against the contract. A violation is answered with an error, and remembered: a test ends with
`check_contract`. Everything that a stand-in answers beyond the request's own effect is that of the real forge, as
`docs` of the forge or recorded answers show it.
"""

import json
import re
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import parse_qs, unquote, urlsplit

from deployments.local.loopback import Exchange, LoopbackServer, ReceivedRequest
from tests.support.forges.contract import Contract, Route

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.forges.review_state import ReviewState

TOKEN: Final = "the-git-token-of-the-tests"
EMAIL: Final = "bot@example.com"


@dataclass
class StoredPullRequest:
    """A pull request, as the stand-in stores it."""

    number: int
    title: str
    body: str
    head: str
    base: str
    is_draft: bool = False
    state: str = "open"
    labels: list[str] = field(default_factory=list)
    reviewers: list[str] = field(default_factory=list)
    is_of_fork: bool = False


@dataclass(frozen=True)
class Reply:
    """An answer. A body that is not JSON is bytes."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """A request that keeps the contract."""

    route: Route
    variables: dict[str, str]
    """The variables in the path."""
    query: dict[str, list[str]]
    body: Any

    @property
    def is_write(self) -> bool:
        """Whether the request may change something."""
        return may_change(self.route.method, self.route.path)


def may_change(method: str, path: str) -> bool:
    """Whether a request may change something. GitHub's GraphQL is used to read only."""
    return method != "GET" and not path.endswith("/graphql")


@dataclass
class Fault:
    """What goes wrong with the next requests that a pattern matches, such as `POST /.*pulls`."""

    request: str
    reply: Reply | None = None
    """The answer before anything happened; None to lose the answer after the write."""
    count: int = 1


class ForgeStandIn(LoopbackServer):
    """A forge with one repository, in which the branches `main` and `work` differ."""

    name: ClassVar[str]
    contract: ClassVar[Contract]
    repository: ClassVar[str] = "/acme/widgets.git"
    root: ClassVar[str]
    """The path of the API."""
    refused: ClassVar[Reply]
    """The answer to a wrong token."""
    missing: ClassVar[Reply]
    """The answer about a pull request that does not exist."""
    review_state: ClassVar["type[ReviewState]"]
    archived: ClassVar[Reply]
    """The answer to a write if the repository is archived."""

    def __init__(self, token: str = TOKEN) -> None:
        super().__init__()
        self.token = token
        self.pull_requests: list[StoredPullRequest] = []
        self.statuses: list[dict[str, Any]] = []
        self.faults: list[Fault] = []
        self.violations: list[str] = []
        self.empty_branches: set[str] = set()
        self.branches = {"main", "work"}
        self.known_labels = {"bot": 7, "enhancement": 8}
        self.users = {"ada": 11, "grace": 12}
        self.reviews = self.review_state(self)
        self.is_archived = False
        self.takes_drafts = True
        self.answer_git: Callable[[str, ReceivedRequest, Exchange], None] | None = None
        """Answers a request of git, whose path below the repository is the first argument."""
        self.on_write: Callable[[str], None] = lambda _moment: None
        """Called with `before` and `after` around each write."""

    @property
    def repo_url(self) -> str:
        """The URL of the repository."""
        return f"{self.url}{self.repository}"

    @property
    def api_url(self) -> str:
        """The address of the API."""
        return f"{self.url}{self.root}"

    @property
    def open_pull_requests(self) -> list[StoredPullRequest]:
        """The open pull requests."""
        return [each for each in self.pull_requests if each.state == "open"]

    def writes(self, pattern: str = "") -> list[ReceivedRequest]:
        """Return the log of the requests that were not mere reads, and whose path the pattern matches."""
        return [each for each in self.requests if may_change(each.method, each.path) and re.search(pattern, each.path)]

    def check_contract(self) -> None:
        """Fail if any request violated the contract."""
        assert not self.violations, self.violations

    @abstractmethod
    def authorization(self) -> str:
        """Return the one right value of the header `authorization`."""

    def handle(self, call: Call) -> Reply:
        """Do what a request asks for, and return the answer."""
        if reply := self.handle_other(call):
            return reply
        if call.is_write and self.is_archived:
            return self.archived
        if reply := self.reviews.handle(call):
            return reply
        if "sha" in call.variables:
            return self.set_status(call.variables["sha"], call.body)
        if "number" not in call.variables:
            return self.create(call.body) if call.is_write else self.find(call.query)
        pull_request = self.numbered(call.variables["number"])
        return self.handle_request(call, pull_request) if pull_request else self.missing

    def handle_other(self, call: Call) -> Reply | None:
        """Answer a request that only this forge has."""
        del call
        return None

    def set_status(self, sha: str, body: dict[str, Any]) -> Reply:
        """Set the status of a commit."""
        self.statuses.append({"sha": sha, **body})
        return Reply(201, body)

    @abstractmethod
    def find(self, query: dict[str, list[str]]) -> Reply:
        """List pull requests."""

    @abstractmethod
    def create(self, body: dict[str, Any]) -> Reply:
        """Open a pull request."""

    @abstractmethod
    def as_json(self, pull_request: StoredPullRequest) -> dict[str, Any]:
        """Return a pull request as the forge shows it."""

    @abstractmethod
    def handle_request(self, call: Call, pull_request: StoredPullRequest) -> Reply:
        """Show or change a pull request."""

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        if self.answer_git and request.path.startswith(self.repository):
            return self.answer_git(request.path.removeprefix(self.repository), request, exchange)
        if len(request.body) < int(request.headers.get("content-length") or 0):
            raise ConnectionAbortedError  # the client ended before it had sent the request
        body = json.loads(request.body) if request.body else None
        route, variables, violations = self.contract.check(request, self.root, body)
        self.violations += violations
        is_write = may_change(request.method, request.path)
        if is_write:
            self.on_write("before")
        if request.headers.get("authorization") != self.authorization():
            return _send(exchange, self.refused)
        if route is None or violations:
            return _send(exchange, Reply(400, {"message": f"violation of the contract: {violations}"}))
        fault = self._fault(request)
        if fault and fault.reply:
            return _send(exchange, fault.reply)
        query = parse_qs(urlsplit(request.path).query, keep_blank_values=True)
        reply = self.handle(Call(route, {name: unquote(value) for name, value in variables.items()}, query, body))
        if is_write:
            self.on_write("after")
        if fault:
            return exchange.drop()
        return _send(exchange, reply)

    def _fault(self, request: ReceivedRequest) -> Fault | None:
        for fault in self.faults:
            if re.search(fault.request, f"{request.method} {request.path}"):
                fault.count -= 1
                if not fault.count:
                    self.faults.remove(fault)
                return fault
        return None

    def add(self, title: str, body: str, head: str, base: str, *, is_draft: bool = False) -> StoredPullRequest:
        """Store a new pull request."""
        new = StoredPullRequest(len(self.pull_requests) + 1, title, body, head, base, is_draft)
        self.pull_requests.append(new)
        return new

    def open_for(self, head: str, base: str) -> StoredPullRequest | None:
        """Return the open pull request for two branches."""
        own = (each for each in self.open_pull_requests if not each.is_of_fork)
        return next((each for each in own if (each.head, each.base) == (head, base)), None)

    def numbered(self, number: str) -> StoredPullRequest | None:
        """Return the pull request with this number."""
        return next((each for each in self.pull_requests if str(each.number) == number), None)

    def lacks_commits(self, head: str) -> bool:
        """Whether the branch has no commit of its own."""
        return head in self.empty_branches


def _send(exchange: Exchange, reply: Reply) -> None:
    is_page = isinstance(reply.body, bytes)
    content = reply.body if is_page else json.dumps(reply.body).encode()
    exchange.reply(reply.status, content, {"content-type": "text/html", **reply.headers} if is_page else reply.headers)
