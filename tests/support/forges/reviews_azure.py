"""What a stand-in of Azure DevOps answers about reviews and work items."""

from collections.abc import Callable
from html import escape
from typing import Any, Final

from tests.support.forges.review_state import (
    ELSEWHERE,
    HEAD,
    OWN,
    ReviewState,
    StoredComment,
    moment,
    route_ends,
    threads_of,
)
from tests.support.forges.stand_in import Call, Reply

_STATES: Final = {"passed": "succeeded", "failed": "failed", "pending": "pending"}


def _guid(number: int) -> str:
    return f"0a1b2c3d-0000-4000-8000-{number:012x}"


class AzureReviews(ReviewState):
    """All threads come at once, and a comment has a number in its thread. Work items have HTML."""

    ids = _guid

    def answers(self) -> dict[str, Callable[[Call], Reply]]:
        return {
            r"/connectionData": self._account,
            r"/commits/{commit}/statuses": self._statuses,
            r"/wit/.+": self._work_item,
            r"/threads/.+": self._write_in_thread,
            r"/threads": self._threads,
        }

    def _account(self, _call: Call) -> Reply:
        user = {"id": self.account_id(OWN), "providerDisplayName": "The bot"}
        return Reply(200, {"authenticatedUser": user}) if self.shows_account else Reply(403, {"message": "TF400813"})

    def _user(self, login: str) -> dict[str, Any]:
        account = self.accounts[login]
        name = f"Build\\{login}" if account.is_bot and login != OWN else f"{login}@example.com"
        return {"id": self.account_id(login), "uniqueName": name, "displayName": login.title()}

    def _json(self, comment: StoredComment, thread: list[StoredComment]) -> dict[str, Any]:
        return {
            "id": thread.index(comment) + 1,
            "parentCommentId": 1 if comment.answers else 0,
            "content": comment.text,
            "author": self._user(comment.author),
            "commentType": "system" if comment.hidden == "system" else "text",
            "isDeleted": comment.hidden == "deleted",
            "publishedDate": moment(comment.minute).replace("Z", ".1234567Z"),
            "lastContentUpdatedDate": moment(comment.edited or comment.minute).replace("Z", ".1234567Z"),
        }

    def _thread(self, comments: list[StoredComment]) -> dict[str, Any]:
        first = comments[0]
        side = "left" if first.is_old_side else "right"
        context = {"filePath": f"/{first.path}", f"{side}FileStart": {"line": first.line, "offset": 1}}
        return {
            "id": first.id,
            "status": "fixed" if first.is_resolved else "active",
            "threadContext": context if first.path else None,
            "comments": [self._json(each, comments) for each in comments],
        }

    def _threads(self, call: Call) -> Reply:
        number = int(call.variables["number"])
        if not call.is_write:
            return Reply(200, {"value": [self._thread(each) for each in threads_of(self.on(number))]})
        new = self.write(call.body["comments"][0]["content"], number, is_resolved=call.body["status"] == "closed")
        return Reply(200, self._thread([new]))

    def _write_in_thread(self, call: Call) -> Reply:
        thread = [each for each in self.comments if each.root == int(call.variables["thread"])]
        if not thread:
            return self.forge.missing
        if "comment" not in call.variables:
            if call.body["parentCommentId"] > len(thread):
                return Reply(400, {"message": "the parent does not exist"})
            fields = {"path": thread[0].path, "line": thread[0].line, "answers": thread[0].id}
            new = self.write(call.body["content"], int(call.variables["number"]), **fields)
            return Reply(200, self._json(new, [*thread, new]))
        comment = thread[int(call.variables["comment"]) - 1]
        if comment.author != OWN:
            return Reply(403, {"message": "TF401027: You may not edit this comment."})
        comment.text, comment.edited = call.body["content"], self.minute
        return Reply(200, self._json(comment, thread))

    def _work_item(self, call: Call) -> Reply:
        issue = self.issue(call.variables["number"])
        if issue is None or not self.has_issues:
            return Reply(404, {"message": f"TF401232: Work item {call.variables['number']} does not exist."})
        if route_ends(call, "/comments"):
            return self._issue_comments(call)
        fields = {
            "System.Title": issue.title,
            "System.State": "New" if issue.is_open else "Closed",
            "System.Description": _html(issue.text),
            "System.CreatedBy": self._user(issue.author),
            "System.CreatedDate": moment(0).replace("Z", ".123Z"),
            "System.ChangedDate": moment(max(issue.changed, issue.edited or 0)).replace("Z", ".123Z"),
        }
        return Reply(200, {"id": issue.number, "rev": 3, "fields": fields, "url": f"{ELSEWHERE}/{issue.number}"})

    def _issue_comments(self, call: Call) -> Reply:
        number = int(call.variables["number"])
        if call.is_write:
            return Reply(200, self._issue_comment(self.write(call.body["text"], number, is_on_issue=True)))
        size, start = int(call.query["$top"][0]), int(call.query.get("continuationToken", ["0"])[0])
        own = self.on(number, is_issue=True)[:: -1 if call.query["order"] == ["desc"] else 1]
        page = [self._issue_comment(each) for each in own[start : start + size]]
        more = {"continuationToken": str(start + size)} if len(own) > start + size else {}
        return Reply(200, {"comments": page, "totalCount": len(own), **more})

    def _issue_comment(self, comment: StoredComment) -> dict[str, Any]:
        return {
            "id": comment.id,
            "text": comment.text if comment.author == OWN else _html(comment.text),
            "createdBy": self._user(comment.author),
            "createdDate": moment(comment.minute).replace("Z", ".12Z"),
            "modifiedDate": moment(comment.edited or comment.minute).replace("Z", ".12Z"),
        }

    def _statuses(self, call: Call) -> Reply:
        assert call.query["latestOnly"] == ["true"]
        own = self.checks if call.variables["commit"] == HEAD else []
        statuses = [
            {"context": {"name": each.name, "genre": "ci"}, "state": _STATES[each.result], "targetUrl": each.url}
            for each in own
        ]
        return Reply(200, {"value": statuses})


def _html(text: str) -> str:
    return "".join(f"<div>{escape(line)}</div>" for line in text.split("\n"))
