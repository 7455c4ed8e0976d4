"""The API of Gitea and Forgejo for reviews and issues (https://docs.gitea.com/api)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from flows.errors import ForgePermissionMissing, IssueNotFound
from flows.forges.api.client import NOT_FOUND, Answer
from flows.forges.api.gitea import GiteaApi
from flows.forges.reviews.base import ReviewApi
from flows.forges.reviews.conversation import Author, Comment, FailedCheck, Issue, Thread, WriteAccess
from flows.forges.reviews.parsing import line_number, moment, moment_after, newest, number_text, text_of

_NO_METHOD: Final = 405
_FAILED: Final = frozenset({"failure", "error"})
_WRITERS: Final = frozenset({"write", "admin", "owner"})
_NEW: Final = "new"
_OLD: Final = "old"


class GiteaReviews(ReviewApi, GiteaApi):
    """Gitea has comments on the pull request, and reviews with comments on lines. It does not tell what is outdated.

    The id of a thread on a line has the side of the diff, the review, and its first comment.
    """

    _assignees: frozenset[str] | None = None

    def _threads(self, number: int, action: str) -> Iterator[Thread]:
        for comment in self._comments(number, action):
            yield Thread(f"comment-{comment.id}", (comment,))
        for review in self._newest_last(f"{self._path}/pulls/{number}/reviews", action, size_name="limit"):
            if review["state"] in {"PENDING", "REQUEST_REVIEW"}:
                continue
            review_id = number_text(review["id"])
            if text_of(review["body"]).strip():
                comment = self._parse_comment({**review, "created_at": review["submitted_at"]})
                yield Thread(f"review-{review_id}", (comment,), is_resolved=bool(review.get("dismissed")))
            if review.get("comments_count"):
                path = f"{self._path}/pulls/{number}/reviews/{review_id}/comments"
                yield from self._line_threads(path, review.get("updated_at"), action)

    def _comments(self, number: int, action: str) -> list[Comment]:
        """Return the comments on an issue or a pull request. This list has no pages."""
        answer = self._existing(self._client.send("GET", f"{self._path}/issues/{number}/comments"), number)
        return [self._parse_comment(each) for each in self._newest(self._granted(answer, action))]

    def _line_threads(self, path: str, submitted: object, action: str) -> Iterator[Thread]:
        """Yield the threads of one review. The comments on the same line are one thread.

        Nobody but the author sees them before the review is submitted, which is the last edit of most reviews.
        """
        lines: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
        for each in self._counted(self._granted(self._client.send("GET", path), action)):
            new, old = line_number(each.get("position")), line_number(each.get("original_position"))
            key = (text_of(each["path"]), _NEW if new else _OLD, new or old)
            lines.setdefault(key, []).append(each)
        for (file, side, line), comments in lines.items():
            review, first = (number_text(comments[0][name]) for name in ("pull_request_review_id", "id"))
            yield Thread(
                f"{side}-{review}-{first}",
                tuple(_edited_after(self._parse_comment(each), submitted) for each in comments),
                file,
                line,
                any(each.get("resolver") for each in comments),
            )

    def _may_write(self, author: Author) -> WriteAccess:
        """Ask for the permission. Only an administrator of the repository may ask, so the answer may be unknown.

        The list of those to whom work can be assigned is not enough: it also has members who may only read.
        """
        if self._assignees is None:
            try:
                return self._permission(author)
            except ForgePermissionMissing:
                answer = self._client.send("GET", f"{self._path}/assignees")
                users = self._granted(answer, "list who can be assigned") or []
                self._assignees = frozenset(number_text(user["id"]) for user in users)
        return WriteAccess.UNKNOWN if author.id in self._assignees else WriteAccess.NO

    def _permission(self, author: Author) -> WriteAccess:
        answer = self._client.send("GET", f"{self._path}/collaborators/{quote(author.login, safe='')}/permission")
        if answer.status == NOT_FOUND:
            return WriteAccess.NO
        body = self._granted(answer, f"show the permission of {author.login}")
        is_same = str(body["user"]["id"]) == author.id  # the name may belong to another account now
        return WriteAccess.YES if is_same and body["permission"] in _WRITERS else WriteAccess.NO

    def _own_account(self) -> Author:
        return _author(self._granted(self._client.send("GET", "/user"), "show the account of the token"))

    def _reply(self, number: int, thread: Thread, text: str) -> Answer:
        kind, *ids = thread.id.split("-")
        numbers = [int(each) for each in ids]
        if kind in {_NEW, _OLD}:
            path = f"{self._path}/pulls/{number}/reviews/{numbers[0]}/comments"
            body = {"path": thread.path, f"{kind}_position": thread.line, "body": text}
            answer = self._client.send("POST", path, body=body)
            if answer.status not in {NOT_FOUND, _NO_METHOD}:  # an older server cannot continue a thread
                return answer
        anchor = "pullrequestreview" if kind == "review" else "issuecomment"
        link = f"{self._page(number)}#{anchor}-{numbers[-1]}"
        return self._comment(number, f"In answer to [this comment](<{link}>):\n\n{text}")

    def _comment(self, number: int, text: str) -> Answer:
        return self._client.send("POST", f"{self._path}/issues/{number}/comments", body={"body": text})

    def _edit_comment(self, number: int, comment_id: str, text: str) -> Answer:
        del number
        return self._client.send("PATCH", f"{self._path}/issues/comments/{comment_id}", body={"body": text})

    def _check_sources(self, commit: str) -> Sequence[Iterator[FailedCheck]]:
        return (self._failed_statuses(commit),)

    def _failed_statuses(self, commit: str) -> Iterator[FailedCheck]:
        statuses = self._list(
            f"{self._path}/statuses/{quote(commit)}", "list the statuses of the commit", size_name="limit"
        )
        for each in newest(statuses, "context"):
            if each["status"] in _FAILED:
                page = self._own_page(each.get("target_url"))
                yield FailedCheck(text_of(each["context"]), page, text_of(each.get("description")))

    def _issue(self, number: int, action: str) -> Issue:
        """Return an issue. The moment of its last change counts as that of its last edit, which Gitea does not tell."""
        answer = self._existing(self._client.send("GET", f"{self._path}/issues/{number}"), number)
        issue = self._granted(answer, action)
        if issue.get("pull_request"):
            raise IssueNotFound(f"{self._page(number)} is a pull request, and no issue: give the number of an issue")
        comments, text = tuple(self._comments(number, action)), self._parse_comment(issue)
        return Issue(
            number,
            f"{self.repository.page}/issues/{number}",
            text_of(issue["title"]),
            text,
            text.edited,
            issue["state"] == "open",
            comments,
            self._omission("comments"),
        )

    def _comment_on_issue(self, number: int, text: str) -> Answer:
        return self._comment(number, text)

    def _parse_comment(self, comment: Mapping[str, Any]) -> Comment:
        created = moment(comment["created_at"])
        edited = moment_after(created, comment.get("updated_at"))
        original = text_of(comment.get("original_author"))  # written on another forge, and imported by the user
        author = Author("", original) if original else _author(comment["user"])
        return Comment(number_text(comment["id"]), author, text_of(comment["body"]), created, edited)


def _edited_after(comment: Comment, submitted: object) -> Comment:
    return replace(comment, edited=moment_after(comment.edited, submitted))


def _author(user: Mapping[str, Any] | None) -> Author:
    """Return the author. Gitea's own accounts, such as that of its actions, have negative numbers."""
    if user is None:
        return Author("", "a former user")
    number = number_text(user["id"])
    return Author(number, text_of(user["login"]), is_bot=number.startswith("-"))
