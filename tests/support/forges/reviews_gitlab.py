"""What a stand-in of GitLab answers about reviews and issues."""

from collections.abc import Callable
from typing import Any, Final

from tests.support.forges.review_state import (
    ELSEWHERE,
    HEAD,
    OWN,
    ReviewState,
    StoredComment,
    linked_page,
    moment,
    route_ends,
    threads_of,
)
from tests.support.forges.stand_in import Call, Reply

_LEVELS: Final = {"read": 20, "write": 30, "admin": 40}
_STATES: Final = {"passed": "success", "failed": "failed", "pending": "running"}
_MISSING: Final = Reply(404, {"message": "404 Not found"})


class GitLabReviews(ReviewState):
    """Everything is a discussion with notes, also what GitLab writes itself."""

    def answers(self) -> dict[str, Callable[[Call], Reply]]:
        return {
            r"/user": self._account,
            r"/members/all/[^/]+": self._member,
            r"/commits/[^/]+/statuses": self._jobs,
            r"/issues/[^/]+(/notes)?": self._issue,
            r"/notes/[^/]+": self._edit,
            r"/discussions": self._discussions,
            r"/notes": self._write,
        }

    def _discussions(self, call: Call) -> Reply:
        threads = threads_of(self.on(call.variables["number"]))
        return linked_page([self._discussion(each) for each in threads], call)

    def name_of(self, login: str) -> str:
        """Return the name of an account; that of a bot tells that it is one."""
        return f"project_5_bot_{login}" if self.accounts[login].is_bot else login

    def _user(self, login: str) -> dict[str, Any]:
        name = self.name_of(login)
        return {"id": self.accounts[login].number, "username": name, "web_url": f"{ELSEWHERE}/{name}"}

    def _account(self, _call: Call) -> Reply:
        if not self.shows_account:
            return Reply(403, {"error": "insufficient_scope", "scope": "read_user"})
        return Reply(200, self._user(OWN))

    def _member(self, call: Call) -> Reply:
        login = self.login_of(call.variables["user"])
        if not login or self.accounts[login].permission == "none":
            return Reply(404, {"message": "404 Not found"})
        level = _LEVELS[self.accounts[login].permission]
        return Reply(200, {**self._user(login), "access_level": level, "state": "active"})

    def _note(self, comment: StoredComment) -> dict[str, Any]:
        head = "an-older-commit" if comment.is_outdated else HEAD
        side = "old" if comment.is_old_side else "new"
        position = {f"{side}_path": comment.path, f"{side}_line": comment.line or None, "head_sha": head}
        return {
            "id": comment.id,
            "type": "DiffNote" if comment.path else None,
            "body": comment.text,
            "author": self._user(comment.author),
            "created_at": moment(comment.minute),
            "updated_at": moment(comment.edited or comment.minute),
            "system": comment.hidden == "system",
            "internal": comment.hidden == "internal",
            "resolvable": bool(comment.path),
            **({"resolved": comment.is_resolved, "position": position} if comment.path else {}),
        }

    def _discussion(self, comments: list[StoredComment]) -> dict[str, Any]:
        notes = [self._note(each) for each in comments]
        return {"id": f"{comments[0].id:040x}", "individual_note": not comments[0].path, "notes": notes}

    def _write(self, call: Call) -> Reply:
        fields: dict[str, Any] = {}
        if "discussion" in call.variables:
            first = self.numbered(int(call.variables["discussion"], 16))
            if first is None:
                return _MISSING
            fields = {"path": first.path, "line": first.line, "answers": first.id}
        return Reply(201, self._note(self.write(call.body["body"], int(call.variables["number"]), **fields)))

    def _edit(self, call: Call) -> Reply:
        comment = self.numbered(call.variables["comment"])
        if comment is None:
            return _MISSING
        if comment.author != OWN:
            return Reply(403, {"message": "403 Forbidden"})
        comment.text, comment.edited = call.body["body"], self.minute
        return Reply(200, self._note(comment))

    def _issue(self, call: Call) -> Reply:
        number = call.variables["number"]
        issue = self.issue(number)
        if issue is None or not self.has_issues:
            return Reply(404, {"message": "404 Issue Not Found" if self.has_issues else "404 Not Found"})
        if not route_ends(call, "/notes"):
            return Reply(
                200,
                {
                    "id": 2000 + issue.number,
                    "iid": issue.number,
                    "title": issue.title,
                    "description": issue.text or None,
                    "state": "opened" if issue.is_open else "closed",
                    "author": self._user(issue.author),
                    "created_at": moment(0),
                    "updated_at": moment(issue.changed),
                },
            )
        if call.is_write:
            return Reply(201, self._note(self.write(call.body["body"], int(number), is_on_issue=True)))
        notes = [self._note(each) for each in self.on(number, is_issue=True)]
        if issue.edited is not None:
            edit = StoredComment(9000, issue.author, "changed the description", issue.edited, hidden="system")
            notes.append(self._note(edit))
        assert call.query["sort"] == ["desc"]
        return linked_page(notes[::-1], call)

    def _jobs(self, call: Call) -> Reply:
        own = self.checks if call.variables["commit"] == HEAD else []
        jobs = [
            {"name": each.name, "status": _STATES[each.result], "target_url": each.url, "allow_failure": False}
            for each in own
        ]
        return linked_page(jobs, call)
