"""The API of GitHub: github.com, ghe.com and GitHub Enterprise Server (https://docs.github.com/rest)."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from flows.forges.api.base import (
    PAGE_SIZE,
    CommitStatus,
    ForgeApi,
    PullRequest,
    PullRequestDraft,
    Refusal,
    Repository,
    State,
)
from flows.forges.api.client import Answer

API_VERSION: Final = "2022-11-28"
_UNPROCESSABLE: Final = 422


class GitHubApi(ForgeApi):
    """GitHub adds labels and reviewers only to a pull request that exists, and cannot make one a draft later."""

    @staticmethod
    def _headers(repository: Repository) -> dict[str, str]:
        return headers(repository.token.get_secret_value())

    @property
    def _path(self) -> str:
        return f"/repos/{self.repository.path}"

    def _find(self, head: str, base: str) -> Iterable[dict[str, Any]]:
        del base
        owner = self.repository.path.partition("/")[0]
        query = {
            "state": "all",
            "head": f"{owner}:{head}",
            "sort": "created",
            "direction": "desc",
            "per_page": PAGE_SIZE,
        }
        answer = self._client.send("GET", f"{self._path}/pulls", query=query)
        return [each for each in self._success(answer, "list the pull requests") if _is_own(each)]

    def _get(self, number: int) -> Answer:
        return self._client.send("GET", f"{self._path}/pulls/{number}")

    def _create(self, draft: PullRequestDraft) -> Answer:
        fields = {"title": draft.title, "head": draft.head, "base": draft.base, "body": draft.body}
        return self._client.send("POST", f"{self._path}/pulls", body={**fields, "draft": draft.is_draft})

    def _refusal(self, answer: Answer, draft: PullRequestDraft) -> Refusal | None:
        if answer.status != _UNPROCESSABLE:
            return None
        if "pull request already exists" in answer.reason:
            return Refusal.EXISTS
        if "No commits between" in answer.reason:
            return Refusal.NO_COMMITS
        return Refusal.NO_DRAFTS if draft.is_draft and "draft pull requests" in answer.reason.lower() else None

    def _update(self, current: PullRequest, title: str, body: str) -> Answer:
        fields = {"title": title, "body": body}
        return self._client.send("PATCH", f"{self._path}/pulls/{current.number}", body=fields)

    def _set_status(self, status: CommitStatus) -> Answer:
        fields = {"state": status.state.value, "context": status.name, "description": status.description}
        body = {**fields, **({"target_url": status.url} if status.url else {})}
        return self._client.send("POST", f"{self._path}/statuses/{status.commit}", body=body)

    def _add_labels(self, number: int, labels: Sequence[str]) -> str:
        answer = self._client.send("POST", f"{self._path}/issues/{number}/labels", body={"labels": list(labels)})
        return "" if answer.is_success else answer.reason

    def _add_reviewers(self, number: int, reviewers: Sequence[str]) -> str:
        """Ask for reviews. A team is written as on its page, `organisation/team`."""
        body = {
            "reviewers": [each for each in reviewers if "/" not in each],
            "team_reviewers": [each.rpartition("/")[2] for each in reviewers if "/" in each],
        }
        answer = self._client.send("POST", f"{self._path}/pulls/{number}/requested_reviewers", body=body)
        return "" if answer.is_success else answer.reason

    def _parse(self, request: dict[str, Any]) -> PullRequest:
        state = State.MERGED if request.get("merged_at") else State(request["state"])
        return PullRequest(
            request["number"],
            self._page(request["number"]),
            state,
            bool(request.get("draft")),
            request["title"],
            request.get("body") or "",
            request["head"]["ref"],
            request["base"]["ref"],
        )


def _is_own(request: dict[str, Any]) -> bool:
    """Whether the branch is one of the repository, and not of a fork."""
    names = [(request[side].get("repo") or {}).get("full_name") for side in ("head", "base")]
    return bool(names[0] == names[1])


def headers(token: str) -> dict[str, str]:
    """Return the headers of a request with a token, or with the signed text of an App."""
    return {
        "authorization": f"Bearer {token}",
        "accept": "application/vnd.github+json",
        "x-github-api-version": API_VERSION,
    }
