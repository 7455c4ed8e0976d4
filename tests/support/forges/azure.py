"""A stand-in of Azure DevOps."""

from base64 import b64encode
from typing import Any

from tests.support.forges.review_contract import AZURE_REVIEWS
from tests.support.forges.reviews_azure import AzureReviews
from tests.support.forges.stand_in import Call, ForgeStandIn, Reply, StoredPullRequest

SIGN_IN = b"<!DOCTYPE html><title>Azure DevOps Services | Sign In</title>"
ADA = "0a1b2c3d-0000-4000-8000-00000000000a"
_BRANCHES = "refs/heads/"
_CUT = 400


def _error(status: int, message: str) -> Reply:
    return Reply(status, {"$id": "1", "message": message, "typeKey": "GitPullRequestException", "errorCode": 0})


def _cut(text: str) -> str:
    """Return the beginning of a text, as .NET counts characters."""
    return text.encode("utf-16-le", "surrogatepass")[: 2 * _CUT].decode("utf-16-le", "surrogatepass")


class AzureStandIn(ForgeStandIn):
    """Azure DevOps answers a wrong token with a page for signing in, and cuts the descriptions in a list."""

    name = "azure"
    contract = AZURE_REVIEWS
    review_state = AzureReviews
    repository = "/acme/My%20Project/_git/widgets"
    root = "/acme"
    refused = Reply(203, SIGN_IN)
    missing = _error(404, "TF401180: The requested pull request was not found.")
    archived = _error(403, "TF401019: The repository is disabled, or archived.")

    def authorization(self) -> str:
        if self.token.startswith("eyJ"):
            return f"Bearer {self.token}"
        return f"Basic {b64encode(f':{self.token}'.encode()).decode()}"

    def handle_other(self, call: Call) -> Reply | None:
        names = (call.variables.get("project", "My Project"), call.variables.get("repo", "widgets"))
        is_own = names == ("My Project", "widgets")
        return None if is_own else _error(404, "TF401019: The Git repository does not exist, or you may not see it.")

    def handle_request(self, call: Call, pull_request: StoredPullRequest) -> Reply:
        if call.route.path.endswith("/labels"):
            pull_request.labels.append(call.body["name"])
        elif "reviewer" in call.variables:
            if call.variables["reviewer"] != ADA:
                return _error(400, "The identity was not found.")
            pull_request.reviewers.append(call.variables["reviewer"])
        elif call.is_write:
            pull_request.title, pull_request.body = call.body["title"], call.body["description"]
        return Reply(200, self.as_json(pull_request))

    def find(self, query: dict[str, list[str]]) -> Reply:
        head = query["searchCriteria.sourceRefName"][0].removeprefix(_BRANCHES)
        matching = [each for each in reversed(self.pull_requests) if each.head == head]
        shown = [{**self.as_json(each), "description": _cut(each.body)} for each in matching]
        return Reply(200, {"value": shown, "count": len(shown)})

    def create(self, body: dict[str, Any]) -> Reply:
        head, base = (body[f"{side}RefName"].removeprefix(_BRANCHES) for side in ("source", "target"))
        if {head, base} - self.branches:
            return _error(400, "TF401398: The pull request cannot be activated because a branch no longer exists.")
        if len(body["description"]) > 4000:
            return _error(400, "TF401185: The description is too long.")
        if self.open_for(head, base):
            return _error(409, "TF401179: An active pull request for the source and target branch already exists.")
        return Reply(
            201, self.as_json(self.add(body["title"], body["description"], head, base, is_draft=body["isDraft"]))
        )

    def as_json(self, pull_request: StoredPullRequest) -> dict[str, Any]:
        """Return a pull request as Azure DevOps shows it."""
        return {
            "pullRequestId": pull_request.number,
            "url": f"https://elsewhere.example/{pull_request.number}",
            "status": {"open": "active", "closed": "abandoned", "merged": "completed"}[pull_request.state],
            "isDraft": pull_request.is_draft,
            "title": pull_request.title,
            "description": pull_request.body,
            "sourceRefName": f"{_BRANCHES}{pull_request.head}",
            "targetRefName": f"{_BRANCHES}{pull_request.base}",
            **({"forkSource": {"repository": {"name": "fork"}}} if pull_request.is_of_fork else {}),
        }
