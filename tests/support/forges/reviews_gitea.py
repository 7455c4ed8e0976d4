"""What a stand-in of Gitea and Forgejo answers about reviews and issues."""

from collections.abc import Callable
from typing import Any, Final

from tests.support.forges.review_state import (
    ELSEWHERE,
    HEAD,
    OWN,
    ReviewState,
    StoredComment,
    StoredIssue,
    linked_page,
    moment,
)
from tests.support.forges.stand_in import Call, Reply

_STATES: Final = {"passed": "success", "failed": "failure", "pending": "pending"}
_FORBIDDEN: Final = Reply(
    403, {"message": "Only admins can query all permissions, repo admins can query all repo ones"}
)
_REVIEW: Final = 500
"""What is added to the id of a comment to make that of its review."""


class GiteaReviews(ReviewState):
    """Comments on lines are in reviews. The permission of others is for administrators of the repository."""

    continues_threads = True

    def answers(self) -> dict[str, Callable[[Call], Reply]]:
        return {
            r"/user": self._account,
            r"/permission": self._permission,
            r"/assignees": self._assignees,
            r"/statuses/{commit}": self._statuses,
            r"/issues/comments/[^/]+": self._edit,
            r"/reviews": self._reviews,
            r"/reviews/[^/]+/comments": self._review_comments,
            r"/issues/[^/]+": self._issue,
            r"/issues/[^/]+/comments": self._comments,
        }

    def _account(self, _call: Call) -> Reply:
        return Reply(200, self._user(OWN)) if self.shows_account else Reply(403, {"message": "token lacks a scope"})

    def _assignees(self, _call: Call) -> Reply:
        """Return all who may write, and also a member of a team who may only read pull requests."""
        return Reply(200, [self._user(login) for login in self.accounts if login != "stranger"] or None)

    def _user(self, login: str) -> dict[str, Any]:
        account = self.accounts[login]
        number = -account.number if account.is_bot and login != OWN else account.number
        return {"id": number, "login": login, "html_url": f"{ELSEWHERE}/{login}"}

    def _permission(self, call: Call) -> Reply:
        login = call.variables["login"]
        if not self.is_administrator:
            return _FORBIDDEN
        if login not in self.accounts:
            return self.forge.missing
        return Reply(200, {"permission": self.accounts[login].permission, "user": self._user(login)})

    def _json(self, comment: StoredComment) -> dict[str, Any]:
        return {
            "id": comment.id,
            "user": self._user(comment.author),
            "original_author": "",
            "body": comment.text,
            "created_at": moment(comment.minute),
            "updated_at": moment(comment.edited or comment.minute),
        }

    def _comments(self, call: Call) -> Reply:
        number = call.variables["number"]
        issue = self.issue(number)
        if issue is None and self.forge.numbered(number) is None:
            return self.forge.missing
        if call.is_write:
            return Reply(201, self._json(self.write(call.body["body"], int(number), is_on_issue=issue is not None)))
        own = self.on(number, is_issue=issue is not None)
        return Reply(200, [self._json(each) for each in own if not (each.path or each.review)] or None)

    def _reviews(self, call: Call) -> Reply:
        """Return the reviews: one with a summary, or one for all comments of a thread."""
        own = [each for each in self.on(call.variables["number"]) if each.review or (each.path and not each.answers)]
        reviews = [
            {
                **self._json(each),
                "id": each.id + _REVIEW,
                "body": each.text if each.review else "",
                "state": "PENDING" if each.hidden == "pending" else each.review or "COMMENT",
                "submitted_at": moment(each.minute),
                "updated_at": moment(each.submitted or (each.review and each.edited) or each.minute),
                "comments_count": sum(other.root == each.id for other in self.comments if other.path),
                "dismissed": each.review != "" and each.is_resolved,
            }
            for each in own
        ]
        return linked_page([None, *reviews] if reviews else [], call, "limit")

    def _review_comments(self, call: Call) -> Reply:
        first = self.numbered(int(call.variables["review"]) - _REVIEW)
        if first is None or (call.is_write and not self.continues_threads):
            return self.forge.missing
        if not call.is_write:
            thread = [each for each in self.comments if each.root == first.id and each.path]
            return Reply(200, [self._line_json(each, first) for each in thread])
        side = "old_position" if first.is_old_side else "new_position"
        if (call.body["path"], call.body.get(side)) != (first.path, first.line):
            return Reply(422, {"message": "the line is not in the diff"})
        fields = {"path": first.path, "line": first.line, "is_old_side": first.is_old_side, "answers": first.id}
        new = self.write(call.body["body"], int(call.variables["number"]), **fields)
        return Reply(200, self._line_json(new, first))

    def _line_json(self, comment: StoredComment, first: StoredComment) -> dict[str, Any]:
        lines = (0, comment.line) if comment.is_old_side else (comment.line, 0)
        return {
            **self._json(comment),
            "pull_request_review_id": first.id + _REVIEW,
            "path": comment.path,
            "position": lines[0],
            "original_position": lines[1],
            "resolver": self._user("ada") if first.is_resolved else None,
        }

    def _edit(self, call: Call) -> Reply:
        comment = self.numbered(call.variables["comment"])
        if comment is None:
            return self.forge.missing
        if comment.author != OWN:
            return Reply(403, {"message": "user should have permission to edit this comment"})
        comment.text, comment.edited = call.body["body"], self.minute
        return Reply(200, self._json(comment))

    def _issue(self, call: Call) -> Reply:
        number = call.variables["number"]
        issue = self.issue(number)
        if issue is None and self.forge.numbered(number):
            return Reply(
                200, {**self._issue_json(StoredIssue(int(number), "a", "b")), "pull_request": {"merged": False}}
            )
        return Reply(200, self._issue_json(issue)) if issue and self.has_issues else self.forge.missing

    def _issue_json(self, issue: StoredIssue) -> dict[str, Any]:
        return {
            "id": 3000 + issue.number,
            "number": issue.number,
            "title": issue.title,
            "body": issue.text,
            "state": "open" if issue.is_open else "closed",
            "user": self._user(issue.author),
            "original_author": "",
            "created_at": moment(0),
            "updated_at": moment(max(issue.changed, issue.edited or 0)),
            "pull_request": None,
        }

    def _statuses(self, call: Call) -> Reply:
        own = self.checks if call.variables["commit"] == HEAD else []
        statuses = [
            {"context": each.name, "status": _STATES[each.result], "target_url": each.url, "description": ""}
            for each in reversed(own)
        ]
        return linked_page(statuses, call, "limit")
