"""The API of Azure DevOps (https://learn.microsoft.com/rest/api/azure/devops/git)."""

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Any, Final

from flows.forges.api.base import (
    PAGE_SIZE,
    CommitState,
    CommitStatus,
    ForgeApi,
    PullRequest,
    PullRequestDraft,
    Refusal,
    Repository,
    State,
)
from flows.forges.api.client import Answer
from flows.forges.azure import GIT

_CONFLICT: Final = 409
_VERSION: Final = {"api-version": "7.1"}
_SURELY_WHOLE: Final = 200
"""In a list, Azure DevOps cuts the descriptions to 400 characters, of which an emoji may be two."""
_BRANCHES: Final = "refs/heads/"
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_STATES: Final = {
    CommitState.PENDING: "pending",
    CommitState.SUCCESS: "succeeded",
    CommitState.FAILURE: "failed",
    CommitState.ERROR: "error",
}


class AzureDevOpsApi(ForgeApi):
    """Azure DevOps has short bodies, and knows a person by an id. A wrong token gets a page for signing in."""

    body_limit = 4_000
    hides_html_comments = False

    @staticmethod
    def _headers(repository: Repository) -> dict[str, str]:
        token = repository.token.get_secret_value()
        if re.fullmatch(r"eyJ[\w-]+(\.[\w-]+){2}", token):  # a token of Microsoft Entra
            return {"authorization": f"Bearer {token}"}
        return {"authorization": f"Basic {b64encode(f':{token}'.encode()).decode()}"}

    @property
    def _path(self) -> str:
        project, _, name = f"/{self.repository.path}".rpartition(GIT)
        project = project.removeprefix("/DefaultCollection").strip("/") or name  # a project's first repository
        return f"/{project}/_apis/git/repositories/{name}"

    def _send(self, method: str, path: str, *, query: dict[str, str] | None = None, body: object = None) -> Answer:
        return self._client.send(method, f"{self._path}{path}", query={**(query or {}), **_VERSION}, body=body)

    def _find(self, head: str, base: str) -> Iterable[dict[str, Any]]:
        del base
        query = {
            "searchCriteria.status": "all",
            "searchCriteria.sourceRefName": f"{_BRANCHES}{head}",
            "$top": PAGE_SIZE,
        }
        action = "list the pull requests"
        for each in self._success(self._send("GET", "/pullrequests", query=query), action)["value"]:
            if not each.get("forkSource"):
                is_whole = len(each.get("description") or "") < _SURELY_WHOLE
                yield each if is_whole else self._success(self._get(each["pullRequestId"]), action)

    def _get(self, number: int) -> Answer:
        return self._send("GET", f"/pullrequests/{number}")

    def _create(self, draft: PullRequestDraft) -> Answer:
        body = {
            "sourceRefName": f"{_BRANCHES}{draft.head}",
            "targetRefName": f"{_BRANCHES}{draft.base}",
            "title": draft.title,
            "description": draft.body,
            "isDraft": draft.is_draft,
        }
        return self._send("POST", "/pullrequests", body=body)

    def _refusal(self, answer: Answer, draft: PullRequestDraft) -> Refusal | None:
        del draft
        return Refusal.EXISTS if answer.status == _CONFLICT and "TF401179" in answer.reason else None

    def _update(self, current: PullRequest, title: str, body: str) -> Answer:
        return self._send("PATCH", f"/pullrequests/{current.number}", body={"title": title, "description": body})

    def _set_status(self, status: CommitStatus) -> Answer:
        fields = {"state": _STATES[status.state], "description": status.description}
        body = {
            **fields,
            "context": {"name": status.name, "genre": "claude-code-headless"},
            **({"targetUrl": status.url} if status.url else {}),
        }
        return self._send("POST", f"/commits/{status.commit}/statuses", body=body)

    def _add_labels(self, number: int, labels: Sequence[str]) -> str:
        answers = {each: self._send("POST", f"/pullRequests/{number}/labels", body={"name": each}) for each in labels}
        return "; ".join(f"{label}: {answer.reason}" for label, answer in answers.items() if not answer.is_success)

    def _add_reviewers(self, number: int, reviewers: Sequence[str]) -> str:
        return "; ".join(filter(None, (self._add_reviewer(number, each) for each in reviewers)))

    def _add_reviewer(self, number: int, reviewer: str) -> str:
        if not _ID.fullmatch(reviewer):
            return f"Azure DevOps knows a reviewer by the id of the account, and not by the name {reviewer}"
        answer = self._send("PUT", f"/pullRequests/{number}/reviewers/{reviewer}", body={"vote": 0})
        return "" if answer.is_success else f"{reviewer}: {answer.reason}"

    def _parse(self, request: dict[str, Any]) -> PullRequest:
        number = request["pullRequestId"]
        return PullRequest(
            number,
            self._page(number),
            {"active": State.OPEN, "completed": State.MERGED}.get(request["status"], State.CLOSED),
            bool(request.get("isDraft")),
            request["title"],
            request.get("description") or "",
            request["sourceRefName"].removeprefix(_BRANCHES),
            request["targetRefName"].removeprefix(_BRANCHES),
        )
