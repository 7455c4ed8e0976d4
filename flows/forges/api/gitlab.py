"""The API of GitLab: gitlab.com and self-managed installations (https://docs.gitlab.com/api/rest/)."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

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
from flows.forges.api.draft_mark import DraftMark

_MARK: Final = DraftMark("Draft: ")
_OK: Final = 200
_CONFLICT: Final = 409
_STATES: Final = {
    CommitState.PENDING: "pending",
    CommitState.SUCCESS: "success",
    CommitState.FAILURE: "failed",
    CommitState.ERROR: "failed",
}


class GitLabApi(ForgeApi):
    """GitLab calls a pull request a merge request. A mark in the title makes it a draft."""

    @staticmethod
    def _headers(repository: Repository) -> dict[str, str]:
        return {"authorization": f"Bearer {repository.token.get_secret_value()}"}

    @property
    def _path(self) -> str:
        return f"/projects/{quote(self.repository.path, safe='%')}"

    def _find(self, head: str, base: str) -> Iterable[dict[str, Any]]:
        del base
        query = {"source_branch": head, "order_by": "created_at", "sort": "desc", "per_page": PAGE_SIZE}
        answer = self._client.send("GET", f"{self._path}/merge_requests", query=query)
        requests = self._success(answer, "list the merge requests")
        # A branch of a fork may have the same name.
        return [each for each in requests if each.get("source_project_id") == each.get("target_project_id")]

    def _get(self, number: int) -> Answer:
        return self._client.send("GET", f"{self._path}/merge_requests/{number}")

    def _create(self, draft: PullRequestDraft) -> Answer:
        body = {
            "source_branch": draft.head,
            "target_branch": draft.base,
            "title": _MARK.mark(draft.title, is_draft=draft.is_draft),
            "description": draft.body,
        }
        return self._client.send("POST", f"{self._path}/merge_requests", body=body)

    def _refusal(self, answer: Answer, draft: PullRequestDraft) -> Refusal | None:
        del draft
        return Refusal.EXISTS if answer.status == _CONFLICT and "already exists" in answer.reason else None

    def _update(self, current: PullRequest, title: str, body: str) -> Answer:
        fields = {"title": _MARK.mark(title, is_draft=current.is_draft), "description": body}
        return self._put(current.number, fields)

    def _put(self, number: int, fields: dict[str, Any]) -> Answer:
        return self._client.send("PUT", f"{self._path}/merge_requests/{number}", body=fields)

    def _set_status(self, status: CommitStatus) -> Answer:
        fields = {"state": _STATES[status.state], "name": status.name, "description": status.description}
        body = {**fields, **({"target_url": status.url} if status.url else {})}
        answer = self._client.send("POST", f"{self._path}/statuses/{status.commit}", body=body)
        has_status = "Cannot transition status" in answer.reason  # GitLab refuses the one that the commit has
        return replace(answer, status=_OK) if has_status else answer

    def _add_labels(self, number: int, labels: Sequence[str]) -> str:
        answer = self._put(number, {"add_labels": ",".join(labels)})
        return "" if answer.is_success else answer.reason

    def _add_reviewers(self, number: int, reviewers: Sequence[str]) -> str:
        """Ask for reviews. GitLab removes the reviewers that are not sent again."""
        ids = {name: self._user_id(name) for name in reviewers}
        if known := [each for each in ids.values() if each]:
            request = self._success(self._get(number), f"show merge request {number}")
            present = [int(each["id"]) for each in request.get("reviewers") or []]
            answer = self._put(number, {"reviewer_ids": list(dict.fromkeys((*present, *known)))})
            if not answer.is_success:
                return answer.reason
        unknown = ", ".join(name for name, number in ids.items() if not number)
        return f"no user has the name {unknown}" if unknown else ""

    def _user_id(self, name: str) -> int:
        users = self._success(self._client.send("GET", "/users", query={"username": name}), f"look up {name}")
        return int(users[0]["id"]) if users else 0

    def _parse(self, request: dict[str, Any]) -> PullRequest:
        title, has_mark = _MARK.unmark(request["title"])
        return PullRequest(
            request["iid"],
            self._page(request["iid"]),
            {"opened": State.OPEN, "merged": State.MERGED}.get(request["state"], State.CLOSED),
            bool(request.get("draft", has_mark)),
            title,
            request.get("description") or "",
            request["source_branch"],
            request["target_branch"],
        )
