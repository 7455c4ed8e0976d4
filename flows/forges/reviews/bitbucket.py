"""The API of Bitbucket Cloud for reviews and issues (https://developer.atlassian.com/cloud/bitbucket/rest/)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from flows.errors import ForgeAuthFailed
from flows.forges.api.bitbucket import BitbucketApi
from flows.forges.api.client import Answer
from flows.forges.reviews.base import ReviewApi
from flows.forges.reviews.conversation import Author, Comment, FailedCheck, Issue, Thread, WriteAccess
from flows.forges.reviews.parsing import line_number, moment, moment_after, number_text, text_of

_FAILED: Final = frozenset({"FAILED"})
_DONE: Final = frozenset({"resolved", "invalid", "duplicate", "wontfix", "closed"})


class BitbucketReviews(ReviewApi, BitbucketApi):
    """Bitbucket has one list of comments, each with its parent. An account is known by its uuid, in braces.

    Only an administrator can ask who may push, and the token of a repository cannot ask for its own account.
    """

    def _has_next(self, answer: Answer, length: int) -> bool:
        del length
        return "next" in answer.body

    def _values(self, path: str, action: str, query: Mapping[str, str] | None = None) -> Iterator[Any]:
        return self._list(f"{self._path}{path}", action, size_name="pagelen", query=query, field="values")

    def _comments(self, path: str, action: str) -> list[dict[str, Any]]:
        return self._newest_first(self._values(path, action, {"sort": "-created_on"}))

    def _threads(self, number: int, action: str) -> Iterator[Thread]:
        comments = self._comments(f"/pullrequests/{number}/comments", action)
        parents = {each["id"]: (each.get("parent") or {}).get("id") for each in comments}
        threads: dict[str, list[dict[str, Any]]] = {}
        for each in comments:
            threads.setdefault(number_text(_root(each["id"], parents)), []).append(each)
        return (self._thread(root, members) for root, members in threads.items())

    def _thread(self, root: str, comments: Sequence[Mapping[str, Any]]) -> Thread:
        first = comments[0]
        place: dict[str, Any] = next((each["inline"] for each in comments if each.get("inline")), {})
        return Thread(
            root,
            tuple(self._parse_comment(each) for each in comments if not (each.get("deleted") or each.get("pending"))),
            text_of(place.get("path")),
            line_number(place.get("to"), place.get("from")),
            bool(first.get("resolution")),
            bool(place.get("outdated")),
        )

    def _may_write(self, author: Author) -> WriteAccess:
        del author
        return WriteAccess.UNKNOWN

    def _own_account(self) -> Author | None:
        try:
            answer = self._client.send("GET", "/user")
        except ForgeAuthFailed:  # the token of a repository, a project or a workspace
            return None
        return _author(self._granted(answer, "show the account of the token"))

    def _reply(self, number: int, thread: Thread, text: str) -> Answer:
        body = {"content": {"raw": text}, "parent": {"id": int(thread.id)}}
        return self._client.send("POST", f"{self._path}/pullrequests/{number}/comments", body=body)

    def _comment(self, number: int, text: str) -> Answer:
        body = {"content": {"raw": text}}
        return self._client.send("POST", f"{self._path}/pullrequests/{number}/comments", body=body)

    def _edit_comment(self, number: int, comment_id: str, text: str) -> Answer:
        path = f"{self._path}/pullrequests/{number}/comments/{comment_id}"
        return self._client.send("PUT", path, body={"content": {"raw": text}})

    def _check_sources(self, commit: str) -> Sequence[Iterator[FailedCheck]]:
        return (self._failed_builds(commit),)

    def _failed_builds(self, commit: str) -> Iterator[FailedCheck]:
        for each in self._values(f"/commit/{quote(commit)}/statuses", "list the statuses of the commit"):
            if each["state"] in _FAILED:
                name = text_of(each.get("name") or each["key"])
                yield FailedCheck(name, self._own_page(each.get("url")), text_of(each.get("description")))

    def _issue(self, number: int, action: str) -> Issue:
        path = f"{self._path}/issues/{number}"
        issue = self._granted(self._existing(self._client.send("GET", path), number), action)
        comments = self._comments(f"/issues/{number}/comments", action)
        edited = issue.get("edited_on") or issue["created_on"]
        return Issue(
            number,
            f"{self.repository.page}/issues/{number}",
            text_of(issue["title"]),
            self._parse_comment({**issue, "user": issue.get("reporter"), "updated_on": edited}),
            moment(issue.get("updated_on") or edited),
            issue["state"] not in _DONE,
            tuple(self._parse_comment(each) for each in comments if _is_shown(each)),
            self._omission("comments"),
        )

    def _reference_from_elsewhere(self, number: int) -> str:
        """Return the address, because Bitbucket knows the numbers of one repository only."""
        return f"{self.repository.page}/issues/{number}"

    def _comment_on_issue(self, number: int, text: str) -> Answer:
        return self._client.send("POST", f"{self._path}/issues/{number}/comments", body={"content": {"raw": text}})

    def _parse_comment(self, comment: Mapping[str, Any]) -> Comment:
        created = moment(comment["created_on"])
        edited = moment_after(created, comment.get("updated_on"))
        text = text_of((comment.get("content") or {}).get("raw"))
        return Comment(number_text(comment["id"]), _author(comment.get("user")), text, created, edited)


def _is_shown(comment: Mapping[str, Any]) -> bool:
    """Whether it is a comment of a person. A change of the issue's fields makes one without a text."""
    return not comment.get("deleted") and bool(text_of((comment.get("content") or {}).get("raw")).strip())


def _root(number: Any, parents: Mapping[Any, Any]) -> Any:  # noqa: ANN401 (JSON)
    """Return the first comment of the thread that a comment is in, also if a wrong answer has a circle."""
    seen = set()
    while (parent := parents.get(number)) is not None and number not in seen:
        seen.add(number)
        number = parent
    return number


def _author(user: Mapping[str, Any] | None) -> Author:
    if user is None:
        return Author("", "a former user")
    name = text_of(user.get("nickname") or user.get("username") or user.get("display_name"))
    return Author(text_of(user["uuid"]), name, user.get("type", "user") != "user")
