"""What a stand-in of GitHub answers about reviews and issues."""

from collections.abc import Callable
from typing import Any

import graphql

from tests.support.forges.github_graphql import Info, connection, execute, missing
from tests.support.forges.review_state import (
    ELSEWHERE,
    HEAD,
    OWN,
    ReviewState,
    StoredComment,
    StoredIssue,
    linked_page,
    moment,
    page_of,
    route_ends,
    threads_of,
)
from tests.support.forges.stand_in import Call, Reply

_STATES = {"passed": "success", "failed": "failure", "pending": "pending"}
_GONE = Reply(410, {"message": "Issues are disabled for this repo"})


class GitHubReviews(ReviewState):
    """GraphQL shows a bot without the end `[bot]` of its name; REST shows the whole name."""

    def answers(self) -> dict[str, Callable[[Call], Reply]]:
        return {
            r"/graphql": self._query,
            r"/permission": self._permission,
            r"/issues/comments/[^/]+": self._edit,
            r"/replies": self._reply,
            r"/issues/[^/]+": self._issue,
            r"/issues/[^/]+/comments": self._comment,
            r"/commits/[^/]+/[a-z-]+": self._checks,
        }

    def _query(self, call: Call) -> Reply:
        root = {"repository": self._repository, "node": self._node, "viewer": self._viewer}
        answer = execute(call.body["query"], call.body["variables"], root)
        if "data" not in answer:
            self.forge.violations.append(f"a query that is not valid: {answer['errors']}")
        return Reply(200, answer)

    def _comment(self, call: Call) -> Reply:
        number = call.variables["number"]
        is_issue = self.issue(number) is not None
        return self._written(self.write(call.body["body"], int(number), is_on_issue=is_issue))

    def _viewer(self, _info: Info) -> dict[str, Any]:
        if not self.shows_account:
            raise graphql.GraphQLError("Resource not accessible", extensions={"type": "FORBIDDEN"})
        return {"databaseId": self.accounts[OWN].number, "login": self._full_name(OWN)}

    def _repository(self, _info: Info, owner: str, name: str) -> dict[str, Any]:
        if f"{owner}/{name}" not in self.repositories:
            raise missing("a Repository with the name", f"'{owner}/{name}'")
        return {"pullRequest": self._pull_request, "issue": self._issue_node}

    def _pull_request(self, _info: Info, number: int) -> dict[str, Any]:
        if not self.forge.numbered(str(number)):
            raise missing("a PullRequest with the number of", number)
        own = self.on(number)
        return {
            "comments": connection([self._node_of(each) for each in own if not (each.path or each.review)]),
            "reviews": connection([self._node_of(each) for each in own if each.review]),
            "reviewThreads": connection([self._thread(each) for each in threads_of(own) if each[0].path]),
        }

    def _issue_node(self, _info: Info, number: int) -> dict[str, Any]:
        issue = self.issue(number)
        if not issue:
            raise missing("an Issue with the number of", number)
        return {
            "title": issue.title,
            "state": "OPEN" if issue.is_open else "CLOSED",
            "body": issue.text,
            "createdAt": moment(0),
            "updatedAt": moment(max(issue.changed, issue.edited or 0)),
            "lastEditedAt": None if issue.edited is None else moment(issue.edited),
            "author": self._actor(issue.author),
            "comments": connection([self._node_of(each) for each in self.on(number, is_issue=True)]),
        }

    def _node(self, _info: Info, id: str) -> dict[str, Any]:  # noqa: A002 (the field's argument)
        root = int(id.removeprefix("T_"))
        return self._thread([each for each in self.comments if each.root == root])

    def _thread(self, comments: list[StoredComment]) -> dict[str, Any]:
        first = comments[0]
        return {
            "__typename": "PullRequestReviewThread",
            "id": f"T_{first.id}",
            "isResolved": first.is_resolved,
            "isOutdated": first.is_outdated,
            "path": first.path,
            "line": None if first.is_outdated or not first.line else first.line,
            "originalLine": first.line or None,
            "comments": connection([self._node_of(each) for each in comments]),
        }

    def _node_of(self, comment: StoredComment) -> dict[str, Any]:
        state = "PENDING" if comment.hidden == "pending" else comment.review or "SUBMITTED"
        kind = "discussion_r" if comment.path else "pullrequestreview-" if comment.review else "issuecomment-"
        submitted = None if state == "PENDING" else moment(comment.submitted or comment.minute)
        return {
            "id": f"C_{comment.id}",
            "url": f"{ELSEWHERE}/acme/widgets/pull/{comment.number}#{kind}{comment.id}",
            "body": comment.text,
            "createdAt": moment(comment.minute),
            "lastEditedAt": None if comment.edited is None else moment(comment.edited),
            "author": self._actor(comment.author),
            "isMinimized": comment.hidden == "hidden",
            "state": state,
            "submittedAt": submitted,
            "pullRequestReview": {"submittedAt": submitted},
        }

    def _actor(self, login: str) -> dict[str, Any] | None:
        account = self.accounts.get(login)
        if account is None:
            return None
        return {"__typename": "Bot" if account.is_bot else "User", "login": login, "databaseId": account.number}

    def _full_name(self, login: str) -> str:
        return f"{login}[bot]" if self.accounts[login].is_bot else login

    def _user(self, login: str) -> dict[str, Any]:
        account = self.accounts[login]
        kind = "Bot" if account.is_bot else "User"
        return {"id": account.number, "login": self._full_name(login), "type": kind, "url": f"{ELSEWHERE}/{login}"}

    def _permission(self, call: Call) -> Reply:
        login = call.variables["login"]
        if login not in self.accounts or self.accounts[login].is_bot:
            return Reply(404, {"message": f"{login} is not a user"})
        return Reply(200, {"permission": self.accounts[login].permission, "user": self._user(login)})

    def _edit(self, call: Call) -> Reply:
        comment = self.numbered(call.variables["comment"])
        if comment is None:
            return self.forge.missing
        if comment.author != OWN:
            return Reply(403, {"message": "Must have admin rights to edit comments of others."})
        comment.text, comment.edited = call.body["body"], self.minute
        return self._written(comment, 200)

    def _reply(self, call: Call) -> Reply:
        first = self.numbered(call.variables["comment"])
        if first is None or not first.path or first.answers:
            return self.forge.missing
        fields = {"path": first.path, "line": first.line, "answers": first.id}
        return self._written(self.write(call.body["body"], int(call.variables["number"]), **fields))

    def _written(self, comment: StoredComment, status: int = 201) -> Reply:
        body = {
            "id": comment.id,
            "html_url": f"{ELSEWHERE}/{comment.id}",
            "user": self._user(comment.author),
            "body": comment.text,
            "created_at": moment(comment.minute),
            "updated_at": moment(comment.edited or comment.minute),
        }
        return Reply(status, body)

    def _issue(self, call: Call) -> Reply:
        number = call.variables["number"]
        if self.forge.numbered(number) and not self.issue(number):
            return Reply(200, {"number": int(number), "pull_request": {"url": ELSEWHERE}, "title": "a"})
        if not self.has_issues:
            return _GONE
        issue = self.issue(number)
        return Reply(200, self._issue_json(issue)) if issue else self.forge.missing

    def _issue_json(self, issue: StoredIssue) -> dict[str, Any]:
        return {
            "number": issue.number,
            "title": issue.title,
            "state": "open" if issue.is_open else "closed",
            "comments_url": f"{ELSEWHERE}/comments",
        }

    def _checks(self, call: Call) -> Reply:
        is_runs = route_ends(call, "/check-runs")
        own = [each for each in self.checks if each.is_run is is_runs and call.variables["commit"] == HEAD]
        if is_runs:
            assert call.query["filter"] == ["latest"]
            runs = [
                {"name": each.name, "conclusion": _STATES[each.result], "html_url": each.url, "output": {"title": None}}
                for each in own
            ]
            page, _ = page_of(runs, call, "per_page")
            return Reply(200, {"total_count": len(runs), "check_runs": page}, linked_page(runs, call).headers)
        statuses = [
            {"context": each.name, "state": _STATES[each.result], "target_url": each.url, "description": None}
            for each in reversed(own)
        ]
        return linked_page(statuses, call)
