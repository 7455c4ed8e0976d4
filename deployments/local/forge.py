"""A forge on the loopback interface: a git server, and the part of Gitea's API that a run and its follow-up need."""

import json
import re
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from deployments.local.forge_page import HEADERS, page
from deployments.local.forge_reviews import LocalReviews, user
from deployments.local.git_remote import GitRemote
from deployments.local.loopback import Exchange, LoopbackServer, ReceivedRequest

OWNER: Final = "demo"
_REPOSITORY: Final = re.compile(rf"/{OWNER}/([\w.-]+)\.git(/.*)")
_PAGE: Final = re.compile(rf"/{OWNER}/([\w.-]+)/pulls/([0-9]+)")
_API: Final = re.compile(rf"/api/v1/repos/{OWNER}/([\w.-]+)/(pulls|statuses|issues|collaborators)(?:/(.+))?")


@dataclass(frozen=True)
class LocalPullRequest:
    """A pull request on the local forge."""

    repository: str
    number: int
    title: str
    body: str
    head: str
    base: str

    def as_json(self) -> dict[str, Any]:
        """Return the pull request as Gitea does."""
        return {
            "number": self.number,
            "state": "open",
            "draft": self.title.startswith("WIP: "),
            "title": self.title,
            "body": self.body,
            "head": {"ref": self.head, "repo_id": 1},
            "base": {"ref": self.base, "repo_id": 1},
        }


class LocalForge(LoopbackServer):
    """A forge for the repositories of a git server. Clients of git and of the API need the server's token."""

    def __init__(self, git: GitRemote) -> None:
        super().__init__()
        self._git = git
        self.pull_requests: list[LocalPullRequest] = []
        self.reviews = LocalReviews()
        self.statuses: list[tuple[str, str, str]] = []
        """The commits, names and states of the statuses, in their order."""

    def repo_url(self, name: str) -> str:
        """Return the URL of a repository of the git server on this forge."""
        return f"{self.url}/{OWNER}/{name}.git"

    def page_url(self, pull_request: LocalPullRequest) -> str:
        """Return the address of a pull request's page."""
        return f"{self.url}/{OWNER}/{pull_request.repository}/pulls/{pull_request.number}"

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        """Answer a request of git, of the API, or of a browser that opens the page of a pull request."""
        path = urlsplit(request.path).path
        if match := _REPOSITORY.match(request.path):
            self._git.answer(replace(request, path=f"/{match[1]}.git{match[2]}"), exchange)
        elif match := _PAGE.fullmatch(path):
            self._show(self._numbered(match[1], match[2]), exchange)
        elif request.headers.get("authorization") != f"token {self._git.token}":
            _send(exchange, 401, {"message": "invalid username, password or token"})
        elif path == "/api/v1/user":
            _send(exchange, 200, user())
        elif match := _API.fullmatch(path):
            name, kind, rest = match[1], match[2], unquote(match[3] or "")
            body = json.loads(request.body) if request.body else {}
            if kind == "statuses":
                _send(exchange, *self._statuses(request.method, rest, body))
            elif kind != "pulls" or "/reviews" in rest:
                _send(exchange, *self.reviews.answer(request.method, name, f"{kind}/{rest}", body))
            else:
                _send(exchange, *self._pulls(request.method, name, rest, body))
        else:
            _send(exchange, 404, {"message": "Not Found"})

    def _statuses(self, method: str, commit: str, body: dict[str, Any]) -> tuple[int, Any]:
        if method == "POST":
            self.statuses.append((commit, body["context"], body["state"]))
            return 201, body
        own = [(name, state) for sha, name, state in self.statuses if sha == commit]
        return 200, [{"context": name, "status": state} for name, state in reversed(own)]

    def _pulls(self, method: str, name: str, rest: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Return the status and the body of the answer to a request about pull requests."""
        own = [each for each in self.pull_requests if each.repository == name]
        if method == "POST":
            if any((each.head, each.base) == (body["head"], body["base"]) for each in own):
                return 409, {"message": "pull request already exists for these targets"}
            new = LocalPullRequest(name, len(own) + 1, body["title"], body["body"], body["head"], body["base"])
            self.pull_requests.append(new)
            return 201, new.as_json()
        if not rest:
            return 200, [each.as_json() for each in own]
        current = next((each for each in own if rest in {str(each.number), f"{each.base}/{each.head}"}), None)
        if current is None:
            return 404, {"message": "Not Found"}
        if method == "PATCH":
            changed = replace(current, title=body["title"], body=body["body"])
            self.pull_requests[self.pull_requests.index(current)] = changed
            return 201, changed.as_json()
        return 200, current.as_json()

    def _numbered(self, name: str, number: str) -> LocalPullRequest | None:
        own = (each for each in self.pull_requests if each.repository == name)
        return next((each for each in own if str(each.number) == number), None)

    def _show(self, pull_request: LocalPullRequest | None, exchange: Exchange) -> None:
        """Answer with the page of a pull request."""
        if pull_request is None:
            return _send(exchange, 404, {"message": "Not Found"})
        commit = self._git.git(pull_request.repository, "rev-parse", pull_request.head)
        html = page(
            pull_request.number,
            pull_request.title,
            pull_request.body,
            (pull_request.head, pull_request.base),
            {name: state for sha, name, state in self.statuses if sha == commit},
        )
        return exchange.reply(200, html, HEADERS)


def _send(exchange: Exchange, status: int, body: object) -> None:
    exchange.reply(status, json.dumps(body).encode())
