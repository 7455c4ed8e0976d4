"""The API of Azure DevOps for reviews and work items (https://learn.microsoft.com/rest/api/azure/devops)."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from flows.forges.api.azure import AzureDevOpsApi
from flows.forges.api.client import Answer
from flows.forges.azure import GIT
from flows.forges.reviews.base import ReviewApi
from flows.forges.reviews.conversation import Author, Comment, FailedCheck, Issue, Thread, WriteAccess
from flows.forges.reviews.html_text import html_of_text, text_of_html
from flows.forges.reviews.parsing import line_number, moment, moment_after, number_text, text_of

_PREVIEW: Final = {"api-version": "7.1-preview"}
_COMMENTS: Final = {"api-version": "7.1-preview.4"}
_OPEN: Final = frozenset({None, "unknown", "active", "pending"})
_FAILED: Final = frozenset({"failed", "error"})
_DONE: Final = frozenset({"Closed", "Completed", "Done", "Removed", "Resolved"})
_TEXTS: Final = ("System.Description", "Microsoft.VSTS.TCM.ReproSteps")
_GENRE: Final = "claude-code-headless"
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


class AzureDevOpsReviews(ReviewApi, AzureDevOpsApi):
    """Azure DevOps sends all threads at once, and does not tell who may push.

    A comment is known by its thread and its number in it. The work items of a project belong to all its repositories.
    """

    def _threads(self, number: int, action: str) -> Iterator[Thread]:
        answer = self._send("GET", f"/pullRequests/{number}/threads")
        newest = self._newest(sorted(self._granted(answer, action)["value"], key=_last_change))
        for each in sorted(newest, key=lambda thread: thread["id"]):
            comments = each.get("comments") or []
            shown = [] if each.get("isDeleted") else [comment for comment in comments if _is_shown(comment)]
            place = each.get("threadContext") or {}
            sides = (place.get("rightFileStart") or {}, place.get("leftFileStart") or {})
            yield Thread(
                number_text(each["id"]),
                tuple(_in_thread(each["id"], self._parse_comment(comment)) for comment in shown),
                text_of(place.get("filePath")).removeprefix("/"),
                line_number(*(side.get("line") for side in sides)),
                each.get("status") not in _OPEN,
            )

    def _may_write(self, author: Author) -> WriteAccess:
        del author
        return WriteAccess.UNKNOWN

    def _own_account(self) -> Author:
        answer = self._client.send("GET", "/_apis/connectionData", query=_PREVIEW)
        user = self._granted(answer, "show the account of the token")["authenticatedUser"]
        return Author(text_of(user["id"]), text_of(user.get("providerDisplayName")))

    def _reply(self, number: int, thread: Thread, text: str) -> Answer:
        parent = int(thread.comments[0].id.rpartition("-")[2])
        body = {"content": text, "parentCommentId": parent, "commentType": "text"}
        return self._send_in(number, int(thread.id), "POST", "/comments", body)

    def _comment(self, number: int, text: str) -> Answer:
        """Open a thread that is closed already: an active one can prevent the completion of the pull request."""
        body = {"comments": [{"content": text, "parentCommentId": 0, "commentType": "text"}], "status": "closed"}
        return self._send("POST", f"/pullRequests/{number}/threads", body=body)

    def _edit_comment(self, number: int, comment_id: str, text: str) -> Answer:
        thread, _, comment = comment_id.partition("-")
        return self._send_in(number, int(thread), "PATCH", f"/comments/{int(comment)}", {"content": text})

    def _send_in(self, number: int, thread: int, method: str, path: str, body: object) -> Answer:
        """Write a comment in a thread, and add the thread to the answer."""
        answer = self._send(method, f"/pullRequests/{number}/threads/{thread}{path}", body=body)
        if not answer.is_success:
            return answer
        return Answer(answer.status, answer.headers, {"id": thread, "comments": [answer.body]})

    def _check_sources(self, commit: str) -> Sequence[Iterator[FailedCheck]]:
        return (self._failed_statuses(commit),)

    def _failed_statuses(self, commit: str) -> Iterator[FailedCheck]:
        """Yield the failed statuses. The builds of a branch's policy are not among them."""
        query = {"latestOnly": "true", "top": str(self._max_items)}
        answer = self._send("GET", f"/commits/{quote(commit)}/statuses", query=query)
        for each in self._counted(self._granted(answer, "list the statuses of the commit")["value"]):
            context = each["context"]
            if each["state"] in _FAILED and context.get("genre") != _GENRE:
                page = self._own_page(each.get("targetUrl"))
                yield FailedCheck(text_of(context["name"]), page, text_of(each.get("description")))

    @property
    def _project(self) -> str:
        return self._path.partition("/_apis/")[0]

    def _issue(self, number: int, action: str) -> Issue:
        """Return a work item. The moment of its last change counts as that of its last edit."""
        answer = self._client.send("GET", f"{self._project}/_apis/wit/workitems/{number}", query={"api-version": "7.1"})
        item = self._granted(self._existing(answer, number), action)
        fields, formats = item["fields"], item.get("multilineFieldsFormat") or {}
        texts = {name: text_of(fields.get(name)) for name in _TEXTS}
        texts = {name: text if formats.get(name) == "markdown" else text_of_html(text) for name, text in texts.items()}
        created = moment(fields["System.CreatedDate"])
        description = Comment(
            str(number),
            _author(fields.get("System.CreatedBy")),
            "\n\n".join(filter(None, texts.values())),
            created,
            moment_after(created, fields.get("System.ChangedDate")),
        )
        return Issue(
            number,
            self._work_item_page(number),
            text_of(fields["System.Title"]),
            description,
            description.edited,
            text_of(fields["System.State"]) not in _DONE,
            tuple(self._newest_first(self._issue_comments(number, action))),
            self._omission("comments"),
        )

    def _work_item_page(self, number: int) -> str:
        before = self.repository.page.partition(GIT)[0]
        project = "" if before.endswith(self._project) else self._project  # a project's first repository
        return f"{before}{project}/_workitems/edit/{number}"

    def _issue_comments(self, number: int, action: str) -> Iterator[Comment]:
        path, token = f"{self._project}/_apis/wit/workItems/{number}/comments", ""
        while not self._is_cut:
            query = {**_COMMENTS, "$top": str(self._size), "order": "desc"}
            answer = self._client.send("GET", path, query={**query, **({"continuationToken": token} if token else {})})
            body = self._granted(answer, action)
            yield from (_issue_comment(each) for each in self._counted(body["comments"]) if not each.get("isDeleted"))
            last, token = token, text_of(body.get("continuationToken"))
            if not token or token == last:
                return

    def _comment_on_issue(self, number: int, text: str) -> Answer:
        path = f"{self._project}/_apis/wit/workItems/{number}/comments"
        return self._client.send("POST", path, query=_COMMENTS, body={"text": html_of_text(text)})

    def _parse_comment(self, comment: Mapping[str, Any]) -> Comment:
        """Return a comment of a thread, of a thread's answer, or of a work item."""
        if "createdBy" in comment:
            return _issue_comment(comment)
        if "comments" in comment:
            return _in_thread(comment["id"], self._parse_comment(comment["comments"][0]))
        created = moment(comment["publishedDate"])
        edited = moment_after(created, comment.get("lastContentUpdatedDate"))
        author, text = _author(comment.get("author")), text_of(comment.get("content"))
        return Comment(number_text(comment["id"]), author, text, created, edited)


def _last_change(thread: Mapping[str, Any]) -> datetime:
    """Return when the last comment of a thread was written."""
    moments = (each.get("publishedDate") for each in thread.get("comments") or ())
    return max((moment(each) for each in moments if each), default=_LONG_AGO)


def _is_shown(comment: Mapping[str, Any]) -> bool:
    return comment.get("commentType") == "text" and not comment.get("isDeleted")


def _in_thread(thread: object, comment: Comment) -> Comment:
    """Return a comment with an id that has its thread, because it alone is not unique."""
    number = f"{number_text(thread)}-{comment.id}"
    return Comment(number, comment.author, comment.text, comment.created, comment.edited)


def _issue_comment(comment: Mapping[str, Any]) -> Comment:
    created = moment(comment["createdDate"])
    edited = moment_after(created, comment.get("modifiedDate"))
    text = text_of(comment.get("text"))
    plain = text if comment.get("format") == "markdown" else text_of_html(text)
    return Comment(number_text(comment["id"]), _author(comment.get("createdBy")), plain, created, edited)


def _author(user: Mapping[str, Any] | None) -> Author:
    """Return the author. A service of Azure DevOps itself, such as a build, is a bot."""
    if user is None:
        return Author("", "a former user")
    name = text_of(user.get("uniqueName") or user.get("displayName"))
    is_bot = text_of(user.get("descriptor")).startswith("svc.") or name.startswith("Build\\")
    return Author(text_of(user["id"]), name, is_bot)
