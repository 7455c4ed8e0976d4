"""What a stand-in of Bitbucket Cloud answers about reviews and issues."""

from collections.abc import Callable
from typing import Any, Final

from tests.support.forges.review_state import (
    ELSEWHERE,
    HEAD,
    OWN,
    ReviewState,
    StoredComment,
    moment,
    page_of,
    route_ends,
)
from tests.support.forges.stand_in import Call, Reply

_STATES: Final = {"passed": "SUCCESSFUL", "failed": "FAILED", "pending": "INPROGRESS"}
_NO_ACCOUNT: Final = Reply(401, {"type": "error", "error": {"message": "not supported for this endpoint"}})


def _uuid(number: int) -> str:
    return f"{{0a1b2c3d-0000-4000-8000-{number:012x}}}"


class BitbucketReviews(ReviewState):
    """One list has all comments, each with its parent. The account of a repository's token is not shown."""

    ids = _uuid

    def answers(self) -> dict[str, Callable[[Call], Reply]]:
        return {
            r"/user": self._account,
            r"/commit/{commit}/statuses": self._builds,
            r"/issues/[^/]+(/comments)?": self._issue,
            r"/comments/[^/]+": self._edit,
            r"/comments": self._pull_request_comments,
        }

    def _account(self, _call: Call) -> Reply:
        return Reply(200, self._user(OWN)) if self.shows_account else _NO_ACCOUNT

    def _pull_request_comments(self, call: Call) -> Reply:
        return self._comments(call, is_issue=False)

    def _user(self, login: str) -> dict[str, Any]:
        account = self.accounts[login]
        kind = "app_user" if account.is_bot else "user"
        return {"type": kind, "uuid": self.account_id(login), "nickname": login, "display_name": login.title()}

    def _json(self, comment: StoredComment) -> dict[str, Any]:
        side = "from" if comment.is_old_side else "to"
        inline = {"path": comment.path, side: comment.line or None, "outdated": comment.is_outdated}
        return {
            "id": comment.id,
            "content": {"raw": "" if comment.hidden == "deleted" else comment.text, "markup": "markdown"},
            "user": self._user(comment.author),
            "created_on": moment(comment.minute).replace("Z", ".000000+00:00"),
            "updated_on": moment(comment.edited or comment.minute).replace("Z", ".000000+00:00"),
            "deleted": comment.hidden == "deleted",
            "pending": comment.hidden == "pending",
            "links": {"self": {"href": f"{ELSEWHERE}/{comment.id}"}},
            **({"inline": inline} if comment.path else {}),
            **({"parent": {"id": comment.answers}} if comment.answers else {}),
            **({"resolution": {"type": "comment_resolution"}} if comment.is_resolved else {}),
        }

    def _comments(self, call: Call, *, is_issue: bool) -> Reply:
        number = int(call.variables["number"])
        if not call.is_write:
            assert call.query["sort"] == ["-created_on"]
            return _values([self._json(each) for each in self.on(number, is_issue=is_issue)][::-1], call)
        fields: dict[str, Any] = {"is_on_issue": is_issue}
        if parent := call.body.get("parent"):
            first = self.numbered(parent["id"])
            if first is None:
                return Reply(400, {"type": "error", "error": {"message": "parent: not found"}})
            fields |= {"path": first.path, "line": first.line, "answers": first.id}
        return Reply(201, self._json(self.write(call.body["content"]["raw"], number, **fields)))

    def _edit(self, call: Call) -> Reply:
        comment = self.numbered(call.variables["comment"])
        if comment is None:
            return self.forge.missing
        if comment.author != OWN:
            return Reply(403, {"type": "error", "error": {"message": "You cannot edit this comment."}})
        comment.text, comment.edited = call.body["content"]["raw"], self.minute
        return Reply(200, self._json(comment))

    def _issue(self, call: Call) -> Reply:
        issue = self.issue(call.variables["number"])
        if not self.has_issues:
            return Reply(410, {"type": "error", "error": {"message": "Repository has no issue tracker."}})
        if issue is None:
            return self.forge.missing
        if route_ends(call, "/comments"):
            return self._comments(call, is_issue=True)
        body = {
            "id": issue.number,
            "title": issue.title,
            "content": {"raw": issue.text},
            "state": "open" if issue.is_open else "resolved",
            "reporter": self._user(issue.author),
            "created_on": moment(0),
            "edited_on": None if issue.edited is None else moment(issue.edited),
            "updated_on": moment(issue.changed),
        }
        return Reply(200, body)

    def _builds(self, call: Call) -> Reply:
        own = self.checks if call.variables["commit"] == HEAD else []
        builds = [
            {"key": each.name[:40], "name": each.name, "state": _STATES[each.result], "url": each.url} for each in own
        ]
        return _values(builds, call)


def _values(items: list[Any], call: Call) -> Reply:
    page, has_next = page_of(items, call, "pagelen")
    return Reply(200, {"values": page, **({"next": f"{ELSEWHERE}/next"} if has_next else {})})
