"""The API of Gitea and Forgejo, of which codeberg.org is one (https://docs.gitea.com/api)."""

from collections.abc import Iterable, Sequence
from typing import Any, Final
from urllib.parse import quote

from flows.forges.api.base import CommitStatus, ForgeApi, PullRequest, PullRequestDraft, Refusal, Repository, State
from flows.forges.api.client import NOT_FOUND, Answer
from flows.forges.api.draft_mark import DraftMark

_MARK: Final = DraftMark("WIP: ")
_CONFLICT: Final = 409
_UNPROCESSABLE: Final = 422
_MAX_PAGES: Final = 20
_PAGE_SIZE: Final = 50


class GiteaApi(ForgeApi):
    """A mark in the title makes a pull request a draft. Labels have ids, and an empty list may be null."""

    @staticmethod
    def _headers(repository: Repository) -> dict[str, str]:
        return {"authorization": f"token {repository.token.get_secret_value()}"}

    @property
    def _path(self) -> str:
        return f"/repos/{self.repository.path}"

    def _find(self, head: str, base: str) -> Iterable[dict[str, Any]]:
        pair = f"{quote(base, safe='')}/{quote(head, safe='')}"
        answer = self._client.send("GET", f"{self._path}/pulls/{pair}")
        if answer.status != NOT_FOUND:
            request = self._success(answer, "show the pull request")
            if request["state"] == "open" and _is_own(request):
                return [request]
        return self._recent()

    def _recent(self) -> list[dict[str, Any]]:
        """Return the pull requests that changed last. Not every version can filter a list by branches."""
        query = {"state": "all", "sort": "recentupdate", "limit": str(_PAGE_SIZE)}
        answer = self._client.send("GET", f"{self._path}/pulls", query=query)
        requests = [each for each in self._success(answer, "list the pull requests") or [] if each and _is_own(each)]
        return sorted(requests, key=lambda each: int(each["number"]), reverse=True)

    def _get(self, number: int) -> Answer:
        return self._client.send("GET", f"{self._path}/pulls/{number}")

    def _create(self, draft: PullRequestDraft) -> Answer:
        title = _MARK.mark(draft.title, is_draft=draft.is_draft)
        body = {"title": title, "head": draft.head, "base": draft.base, "body": draft.body}
        return self._client.send("POST", f"{self._path}/pulls", body=body)

    def _refusal(self, answer: Answer, draft: PullRequestDraft) -> Refusal | None:
        del draft
        if answer.status == _CONFLICT:
            return Refusal.EXISTS
        is_empty = answer.status == _UNPROCESSABLE and "no changes between" in answer.reason
        return Refusal.NO_COMMITS if is_empty else None

    def _update(self, current: PullRequest, title: str, body: str) -> Answer:
        fields = {"title": _MARK.mark(title, is_draft=current.is_draft), "body": body}
        return self._client.send("PATCH", f"{self._path}/pulls/{current.number}", body=fields)

    def _set_status(self, status: CommitStatus) -> Answer:
        fields = {"state": status.state.value, "context": status.name, "description": status.description}
        body = {**fields, **({"target_url": status.url} if status.url else {})}
        return self._client.send("POST", f"{self._path}/statuses/{status.commit}", body=body)

    def _add_labels(self, number: int, labels: Sequence[str]) -> str:
        ids = self._label_ids()
        if known := [ids[label] for label in labels if label in ids]:
            answer = self._client.send("POST", f"{self._path}/issues/{number}/labels", body={"labels": known})
            if not answer.is_success:
                return answer.reason
        unknown = ", ".join(label for label in labels if label not in ids)
        return f"the repository has no label {unknown}" if unknown else ""

    def _label_ids(self) -> dict[str, int]:
        ids: dict[str, int] = {}
        for page in range(1, _MAX_PAGES + 1):
            query = {"page": str(page), "limit": str(_PAGE_SIZE)}
            answer = self._client.send("GET", f"{self._path}/labels", query=query)
            new = {label["name"]: label["id"] for label in self._success(answer, "list the labels") or []}
            if not new.keys() - ids.keys():  # a server may have smaller pages than it is asked for
                break
            ids.update(new)
        return ids

    def _add_reviewers(self, number: int, reviewers: Sequence[str]) -> str:
        """Ask for reviews. A team is written as on its page, `organisation/team`."""
        body = {
            "reviewers": [each for each in reviewers if "/" not in each],
            "team_reviewers": [each.rpartition("/")[2] for each in reviewers if "/" in each],
        }
        answer = self._client.send("POST", f"{self._path}/pulls/{number}/requested_reviewers", body=body)
        return "" if answer.is_success else answer.reason

    def _parse(self, request: dict[str, Any]) -> PullRequest:
        title, has_mark = _MARK.unmark(request["title"])
        return PullRequest(
            request["number"],
            self._page(request["number"]),
            State.MERGED if request.get("merged") else State(request["state"]),
            bool(request.get("draft", has_mark)),
            title,
            request.get("body") or "",
            request["head"]["ref"],
            request["base"]["ref"],
        )


def _is_own(request: dict[str, Any]) -> bool:
    """Whether the branch is one of the repository, and not of a fork."""
    return bool(request["head"].get("repo_id") == request["base"].get("repo_id"))
