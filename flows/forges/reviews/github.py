"""The API of GitHub for reviews and issues: GraphQL (see `github_queries`) to read, and REST for the rest."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, unquote

from flows.errors import ForgeUnavailable, IssueNotFound, PullRequestRefused
from flows.forges.api.base import Repository
from flows.forges.api.client import NOT_FOUND, Answer, ApiClient, no_permission
from flows.forges.api.github import GitHubApi
from flows.forges.reviews.base import ReviewApi
from flows.forges.reviews.conversation import Author, Comment, FailedCheck, Issue, Thread, WriteAccess
from flows.forges.reviews.github_queries import CONVERSATION, ISSUE, THREAD, VIEWER
from flows.forges.reviews.parsing import line_number, moment, moment_after, newest, number_text, text_of

_FAILED: Final = frozenset({"failure", "timed_out", "startup_failure"})
_FAILED_STATES: Final = frozenset({"failure", "error"})
_HIDDEN_STATES: Final = frozenset({"PENDING"})
_NO_PERMISSION: Final = frozenset({"NOT_FOUND", "FORBIDDEN", "INSUFFICIENT_SCOPES"})
_FAULT: Final = re.compile(r"something went wrong|time(d )?out", re.IGNORECASE)
"""GitHub's words for a fault of its own, which it can answer with status 200."""

_NUMBER: Final = re.compile(r"[0-9]{1,20}\Z", re.ASCII)
_ANCHORS: Final = {"comment": "issuecomment", "review": "pullrequestreview"}


class GitHubReviews(ReviewApi, GitHubApi):
    """GitHub has three lists: comments on the pull request, reviews with their summaries, and threads on lines.

    The id of a thread begins with the list that has it.
    """

    def __init__(self, repository: Repository, **options: int) -> None:
        super().__init__(repository, **options)
        # GitHub Enterprise Server has /api/graphql beside /api/v3.
        self._graphql = ApiClient(repository.api_url.removesuffix("/v3"), self._headers(repository))

    def close(self) -> None:
        """Close the connections."""
        self._graphql.close()
        super().close()

    def _query(self, query: str, variables: Mapping[str, Any], action: str) -> Any:  # noqa: ANN401 (JSON)
        answer = self._graphql.send("POST", "/graphql", body={"query": query, "variables": variables})
        body = self._granted(answer, action)
        if errors := body.get("errors"):
            kinds = {str(each.get("type")) for each in errors}
            if "RATE_LIMITED" in kinds:
                raise ForgeUnavailable(f"GitHub allows no more requests for now ({answer.reason}): try again later")
            if _FAULT.search(answer.reason):
                raise ForgeUnavailable(f"GitHub could not {action} ({answer.reason}): try again later")
            if kinds & _NO_PERMISSION:
                raise no_permission(answer, action)
            raise PullRequestRefused(f"the forge did not {action}: {answer.reason}")
        return body["data"]

    def _read(self, query: str, variables: Mapping[str, Any], action: str) -> Any:  # noqa: ANN401 (JSON)
        """Return the answer to a query with pages, which are small ones if the answer was too long."""
        try:
            return self._query(query, {**variables, "size": self._size}, action)
        except ForgeUnavailable as error:
            if self._size == 1:
                raise
            self._use_small_pages(error)
            return self._query(query, {**variables, "size": self._size}, action)

    def _names(self) -> dict[str, Any]:
        owner, _, name = self.repository.path.partition("/")
        return {"owner": unquote(owner), "name": unquote(name)}

    def _threads(self, number: int, action: str) -> Iterator[Thread]:
        parsers = {"comments": _comment_thread, "reviews": _review_thread, "reviewThreads": self._line_thread}
        cursors: dict[str, str | None] = dict.fromkeys(parsers)
        threads: dict[str, list[Thread]] = {name: [] for name in parsers}
        while cursors and not self._is_cut:
            flags = {f"with{name[0].upper()}{name[1:]}": name in cursors for name in parsers}
            data = self._read(CONVERSATION, {**self._names(), "number": number, **cursors, **flags}, action)
            lists = {name: data["repository"]["pullRequest"][name] for name in cursors}
            for name, connection in lists.items():
                threads[name] += [parsers[name](node, action) for node in self._page_from_end(connection)]
            cursors = {name: cursor for name, each in lists.items() if (cursor := _next_cursor(each, cursors[name]))}
        for each in threads.values():
            yield from self._newest_first(each)

    def _line_thread(self, thread: Mapping[str, Any], action: str) -> Thread:
        nodes, begin = self._newest_first(self._thread_comments(thread, action)), thread["begin"]["nodes"]
        return Thread(
            f"thread-{_number(begin[0])}" if begin else "thread-",
            tuple(_comment(each) for each in nodes if _is_shown(each)),
            text_of(thread["path"]),
            line_number(thread.get("line"), thread.get("originalLine")),
            bool(thread["isResolved"]),
            bool(thread["isOutdated"]),
        )

    def _thread_comments(self, thread: Mapping[str, Any], action: str) -> Iterator[dict[str, Any]]:
        connection = thread["comments"]
        yield from self._page_from_end(connection)
        before: str | None = None
        while not self._is_cut and (before := _next_cursor(connection, before)):
            variables = {"thread": thread["id"], "before": before}
            connection = self._read(THREAD, variables, action)["node"]["comments"]
            yield from self._page_from_end(connection)

    def _page_from_end(self, connection: Mapping[str, Any]) -> Iterator[Any]:
        """Yield the items of a page, the newest first."""
        return self._counted((connection["nodes"] or [])[::-1])

    def _may_write(self, author: Author) -> WriteAccess:
        """Ask for the permission, and not for `author_association`, which does not show a private membership."""
        path = f"{self._path}/collaborators/{quote(author.login, safe='')}/permission"
        answer = self._client.send("GET", path)
        if answer.status == NOT_FOUND:
            return WriteAccess.NO
        body = self._granted(answer, f"show the permission of {author.login}")
        is_same = str((body.get("user") or {}).get("id")) == author.id  # the name may belong to another account now
        return WriteAccess.YES if is_same and body["permission"] in {"admin", "write"} else WriteAccess.NO

    def _own_account(self) -> Author:
        """Return the account; that of an App has a name such as `name[bot]`. REST does not show it to an App."""
        viewer = self._query(VIEWER, {}, "show the account of the token")["viewer"]
        login = text_of(viewer["login"])
        return Author(number_text(viewer["databaseId"]), login, login.endswith("[bot]"))

    def _reply(self, number: int, thread: Thread, text: str) -> Answer:
        kind, _, first = thread.id.partition("-")
        if kind == "thread":
            path = f"{self._path}/pulls/{number}/comments/{int(first)}/replies"
            return self._client.send("POST", path, body={"body": text})
        link = f"{self._page(number)}#{_ANCHORS[kind]}-{int(first)}"
        return self._comment(number, f"In answer to [this comment](<{link}>):\n\n{text}")

    def _comment(self, number: int, text: str) -> Answer:
        return self._client.send("POST", f"{self._path}/issues/{number}/comments", body={"body": text})

    def _edit_comment(self, number: int, comment_id: str, text: str) -> Answer:
        del number
        return self._client.send("PATCH", f"{self._path}/issues/comments/{comment_id}", body={"body": text})

    def _check_sources(self, commit: str) -> Sequence[Iterator[FailedCheck]]:
        return self._failed_statuses(commit), self._failed_runs(commit)

    def _failed_statuses(self, commit: str) -> Iterator[FailedCheck]:
        path, action = f"{self._path}/commits/{quote(commit)}/statuses", "list the statuses of the commit"
        for each in newest(self._list(path, action), "context"):
            if each["state"] in _FAILED_STATES:
                page = self._own_page(each.get("target_url"))
                yield FailedCheck(text_of(each["context"]), page, text_of(each.get("description")))

    def _failed_runs(self, commit: str) -> Iterator[FailedCheck]:
        path, action = f"{self._path}/commits/{quote(commit)}/check-runs", "list the checks of the commit"
        for each in self._list(path, action, query={"filter": "latest"}, field="check_runs"):
            if each.get("conclusion") in _FAILED:
                title = text_of((each.get("output") or {}).get("title"))
                yield FailedCheck(text_of(each["name"]), self._own_page(each.get("html_url")), title)

    def _issue(self, number: int, action: str) -> Issue:
        answer = self._existing(self._client.send("GET", f"{self._path}/issues/{number}"), number)
        if self._granted(answer, action).get("pull_request"):
            raise IssueNotFound(f"{self._page(number)} is a pull request, and no issue: give the number of an issue")
        comments, cursor = list[Comment](), None
        while True:
            variables = {**self._names(), "number": number, "comments": cursor}
            issue = self._read(ISSUE, variables, action)["repository"]["issue"]
            comments += [_comment(each) for each in self._page_from_end(issue["comments"]) if _is_shown(each)]
            cursor = _next_cursor(issue["comments"], cursor)
            if self._is_cut or not cursor:
                break
        return Issue(
            number,
            f"{self.repository.page}/issues/{number}",
            text_of(issue["title"]),
            _comment({**issue, "databaseId": number}),
            moment(issue["updatedAt"]),
            issue["state"] == "OPEN",
            tuple(self._newest_first(comments)),
            self._omission("comments"),
        )

    def _comment_on_issue(self, number: int, text: str) -> Answer:
        return self._comment(number, text)

    def _parse_comment(self, comment: Mapping[str, Any]) -> Comment:
        user, created = comment["user"], moment(comment["created_at"])
        author = Author(number_text(user["id"]), text_of(user["login"]), user.get("type") == "Bot")
        edited = moment_after(created, comment.get("updated_at"))
        return Comment(number_text(comment["id"]), author, text_of(comment["body"]), created, edited)


def _comment_thread(comment: Mapping[str, Any], _action: str) -> Thread:
    return Thread(f"comment-{_number(comment)}", (_comment(comment),) if _is_shown(comment) else ())


def _review_thread(review: Mapping[str, Any], _action: str) -> Thread:
    """Return the summary of a review as a thread. A dismissed review is done with."""
    is_shown = _is_shown(review) and text_of(review["body"]).strip()
    comments = (_comment(review),) if is_shown else ()
    return Thread(f"review-{_number(review)}", comments, is_resolved=review["state"] == "DISMISSED")


def _is_shown(node: Mapping[str, Any]) -> bool:
    """Whether everybody sees the comment. That of a review which is not submitted yet is its author's alone."""
    return not node.get("isMinimized") and node.get("state") not in _HIDDEN_STATES


def _comment(node: Mapping[str, Any]) -> Comment:
    # Nobody but its author sees a comment of a review before the review is submitted.
    submitted = node.get("submittedAt") or (node.get("pullRequestReview") or {}).get("submittedAt")
    created = moment_after(moment(node["createdAt"]), submitted)
    edited = moment_after(created, node["lastEditedAt"])
    return Comment(_number(node), _author(node["author"]), text_of(node["body"]), created, edited)


def _number(node: Mapping[str, Any]) -> str:
    """Return the number of a comment, at the end of its address. GitHub wants to remove `databaseId` of comments."""
    if "url" not in node:
        return number_text(node["databaseId"])
    match = _NUMBER.search(text_of(node["url"]))
    if match is None:
        raise ValueError("a comment has no number")
    return match[0]


def _author(author: Mapping[str, Any] | None) -> Author:
    """Return the author. GraphQL leaves out the end of a bot's name, without which it may be a person's."""
    if author is None:
        return Author("", "ghost")
    is_bot, login = author["__typename"] == "Bot", text_of(author["login"])
    number = author.get("databaseId")
    full = f"{login}[bot]" if is_bot and not login.endswith("[bot]") else login
    return Author(number_text(number) if number else "", full, is_bot)


def _next_cursor(connection: Mapping[str, Any], last: str | None) -> str | None:
    """Return where the page before this one ends; None if this has the oldest."""
    page = connection["pageInfo"]
    cursor = text_of(page["startCursor"])
    return cursor if page["hasPreviousPage"] and cursor and cursor != last else None
