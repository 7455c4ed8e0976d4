"""What people say about the pull requests of the local forge, and the part of Gitea's API that reads and answers it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

REVIEWER: Final = "ada"
_TOKEN: Final = "claude"  # noqa: S105 (the account of the token)
_ACCOUNTS: Final = {_TOKEN: 1, REVIEWER: 2}
_COMMENTS: Final = re.compile(r"issues/([0-9]+)/comments")
_COMMENT: Final = re.compile(r"issues/comments/([0-9]+)")
_REVIEWS: Final = re.compile(r"pulls/([0-9]+)/reviews(?:/([0-9]+)/comments)?")
_PERMISSION: Final = re.compile(r"collaborators/([\w-]+)/permission")


@dataclass
class LocalComment:
    """A comment: on the whole pull request, or in a thread on a line, which is a review of its own."""

    id: int
    repository: str
    number: int
    author: str
    body: str
    created: str
    edited: str
    path: str = ""
    line: int = 0
    thread: int = 0
    """The id of the first comment of its thread; 0 for a comment on the whole."""

    def as_json(self) -> dict[str, Any]:
        """Return the comment as Gitea does."""
        of_thread = {"pull_request_review_id": self.thread, "path": self.path, "position": self.line}
        return {
            "id": self.id,
            "user": user(self.author),
            "body": self.body,
            "created_at": self.created,
            "updated_at": self.edited,
            **(of_thread if self.thread else {}),
        }


class LocalReviews:
    """All comments on the pull requests of the local forge."""

    def __init__(self) -> None:
        self.comments: list[LocalComment] = []

    def say(self, repository: str, number: int, text: str, path: str, line: int, author: str = REVIEWER) -> None:
        """Let a person comment on a line of a pull request."""
        self._write(repository, number, author, text, path, line, len(self.comments) + 1)

    def answer(self, method: str, repository: str, path: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        """Return the status and the body of the answer to a request with the path of a comment, review or account."""
        own = [comment for comment in self.comments if comment.repository == repository]
        if match := _PERMISSION.fullmatch(path):
            return 200, {"permission": "write", "user": user(match[1])}
        if match := _COMMENTS.fullmatch(path):
            on_the_whole = [each for each in own if each.number == int(match[1]) and not each.thread]
            return self._listed_or_written(method, repository, int(match[1]), on_the_whole, body, 0)
        if match := _REVIEWS.fullmatch(path):
            of_number = [each for each in own if each.number == int(match[1]) and each.thread]
            if not match[2]:
                return 200, list(_reviews(of_number))
            thread = [each for each in of_number if each.thread == int(match[2])]
            return self._listed_or_written(method, repository, int(match[1]), thread, body, int(match[2]))
        if match := _COMMENT.fullmatch(path):
            [comment] = [each for each in own if each.id == int(match[1])]
            comment.body, comment.edited = body["body"], _now()
            return 200, comment.as_json()
        return 404, {"message": "Not Found"}

    def _listed_or_written(
        self,
        method: str,
        repository: str,
        number: int,
        comments: Iterable[LocalComment],
        body: Mapping[str, Any],
        thread: int,
    ) -> tuple[int, Any]:
        if method != "POST":
            return 200, [each.as_json() for each in comments]
        path, line = body.get("path", ""), body.get("new_position", 0)
        return 201, self._write(repository, number, _TOKEN, body["body"], path, line, thread).as_json()

    def _write(
        self, repository: str, number: int, author: str, text: str, path: str, line: int, thread: int
    ) -> LocalComment:
        now = _now()
        comment = LocalComment(len(self.comments) + 1, repository, number, author, text, now, now, path, line, thread)
        self.comments.append(comment)
        return comment


def user(name: str = _TOKEN) -> dict[str, Any]:
    """Return an account as Gitea does."""
    return {"id": _ACCOUNTS[name], "login": name}


def _reviews(comments: Iterable[LocalComment]) -> Iterable[dict[str, Any]]:
    for each in comments:
        if each.id == each.thread:
            yield {"id": each.id, "user": user(each.author), "state": "COMMENT", "body": "", "comments_count": 1}


def _now() -> str:
    return datetime.now(UTC).isoformat()
