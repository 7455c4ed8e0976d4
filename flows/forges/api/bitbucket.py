"""The API of Bitbucket Cloud (https://developer.atlassian.com/cloud/bitbucket/rest/)."""

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
from flows.forges.bitbucket import API_TOKEN_PREFIX

_KEY_CHARACTERS: Final = 40
_ALL_STATES: Final = ["OPEN", "MERGED", "DECLINED", "SUPERSEDED"]
_STATES: Final = {
    CommitState.PENDING: "INPROGRESS",
    CommitState.SUCCESS: "SUCCESSFUL",
    CommitState.FAILURE: "FAILED",
    CommitState.ERROR: "FAILED",
}


class BitbucketApi(ForgeApi):
    """Bitbucket has no labels, shows HTML comments as text, and returns the open pull request if there is one."""

    hides_html_comments = False

    @staticmethod
    def _headers(repository: Repository) -> dict[str, str]:
        token = repository.token.get_secret_value()
        if token.startswith(API_TOKEN_PREFIX):  # a person's token, which goes with the address of the account
            login = b64encode(f"{repository.email}:{token}".encode()).decode()
            return {"authorization": f"Basic {login}"}
        return {"authorization": f"Bearer {token}"}

    @property
    def _path(self) -> str:
        return f"/repositories/{self.repository.path}"

    def _find(self, head: str, base: str) -> Iterable[dict[str, Any]]:
        del base
        query = {
            "state": _ALL_STATES,
            "q": f"source.branch.name={_quote(head)}",
            "sort": "-created_on",
            "pagelen": PAGE_SIZE,
        }
        answer = self._client.send("GET", f"{self._path}/pullrequests", query=query)
        return [each for each in self._success(answer, "list the pull requests")["values"] if _is_own(each)]

    def _get(self, number: int) -> Answer:
        return self._client.send("GET", f"{self._path}/pullrequests/{number}")

    def _create(self, draft: PullRequestDraft) -> Answer:
        body = {
            "title": draft.title,
            "description": draft.body,
            "source": {"branch": {"name": draft.head}},
            "destination": {"branch": {"name": draft.base}},
            "draft": draft.is_draft,
            "close_source_branch": False,
        }
        return self._client.send("POST", f"{self._path}/pullrequests", body=body)

    def _refusal(self, answer: Answer, draft: PullRequestDraft) -> Refusal | None:
        reason = answer.reason.lower()
        if "no changes to be pulled" in reason:
            return Refusal.NO_COMMITS
        if "already" in reason and "pull request" in reason:
            return Refusal.EXISTS
        return Refusal.NO_DRAFTS if draft.is_draft and "draft" in reason else None

    def _update(self, current: PullRequest, title: str, body: str) -> Answer:
        # An update removes the reviewers that it does not repeat.
        reviewers = [{"uuid": uuid} for uuid in self._reviewers(current.number)]
        return self._put(current.number, {"title": title, "description": body, "reviewers": reviewers})

    def _put(self, number: int, fields: dict[str, Any]) -> Answer:
        return self._client.send("PUT", f"{self._path}/pullrequests/{number}", body=fields)

    def _reviewers(self, number: int) -> list[str]:
        request = self._success(self._get(number), f"show pull request {number}")
        return [each["uuid"] for each in request.get("reviewers") or []]

    def _set_status(self, status: CommitStatus) -> Answer:
        body = {
            "key": status.name[:_KEY_CHARACTERS],
            "state": _STATES[status.state],
            "name": status.name,
            "description": status.description,
            "url": status.url or self.repository.page,  # Bitbucket asks for one
        }
        return self._client.send("POST", f"{self._path}/commit/{status.commit}/statuses/build", body=body)

    def _add_labels(self, number: int, labels: Sequence[str]) -> str:
        del number, labels
        return "Bitbucket has no labels for pull requests"

    def _add_reviewers(self, number: int, reviewers: Sequence[str]) -> str:
        """Ask for reviews. Bitbucket knows a person by an id in braces, and not by a name."""
        if ids := [each for each in reviewers if each.startswith("{")]:
            current = self.get(number)
            uuids = dict.fromkeys((*self._reviewers(number), *ids))
            fields = {"title": current.title, "description": current.body}
            answer = self._put(number, {**fields, "reviewers": [{"uuid": uuid} for uuid in uuids]})
            if not answer.is_success:
                return answer.reason
        names = ", ".join(each for each in reviewers if each not in ids)
        return f"Bitbucket knows a reviewer by a uuid in braces, and not by the name {names}" if names else ""

    def _parse(self, request: dict[str, Any]) -> PullRequest:
        return PullRequest(
            request["id"],
            self._page(request["id"]),
            {"OPEN": State.OPEN, "MERGED": State.MERGED}.get(request["state"], State.CLOSED),
            bool(request.get("draft")),
            request["title"],
            request.get("description") or (request.get("summary") or {}).get("raw") or "",
            request["source"]["branch"]["name"],
            request["destination"]["branch"]["name"],
        )


def _is_own(request: dict[str, Any]) -> bool:
    """Whether the branch is one of the repository, and not of a fork."""
    names = [(request[side].get("repository") or {}).get("full_name") for side in ("source", "destination")]
    return bool(names[0] == names[1])


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
