"""A stand-in of GitHub."""

from typing import Any

from tests.support.forges.review_contract import GITHUB_REVIEWS
from tests.support.forges.reviews_github import GitHubReviews
from tests.support.forges.stand_in import Call, ForgeStandIn, Reply, StoredPullRequest


class GitHubStandIn(ForgeStandIn):
    """GitHub Enterprise Server, which has the same API as github.com."""

    name = "github"
    contract = GITHUB_REVIEWS
    review_state = GitHubReviews
    root = "/api/v3"
    refused = Reply(401, {"message": "Bad credentials", "status": "401"})
    missing = Reply(404, {"message": "Not Found"})
    archived = Reply(403, {"message": "Repository was archived so is read-only."})

    def authorization(self) -> str:
        return f"Bearer {self.token}"

    def handle_request(self, call: Call, pull_request: StoredPullRequest) -> Reply:
        if call.route.path.endswith("/labels"):
            pull_request.labels += call.body["labels"]
            return Reply(200, [{"name": name} for name in pull_request.labels])
        if call.route.path.endswith("/requested_reviewers"):
            if unknown := set(call.body["reviewers"]) - self.users.keys():
                return Reply(422, {"message": f"Reviews may only be requested from collaborators: {unknown}"})
            pull_request.reviewers += call.body["reviewers"]
        elif call.is_write:
            pull_request.title, pull_request.body = call.body["title"], call.body["body"].replace("\n", "\r\n")
        return Reply(200, self.as_json(pull_request))

    def find(self, query: dict[str, list[str]]) -> Reply:
        owner, _, head = query["head"][0].partition(":")
        matching = [
            each
            for each in reversed(self.pull_requests)
            if each.head == head and owner == "acme" and query["state"][0] in {"all", each.state}
        ]
        return Reply(200, [self.as_json(each) for each in matching])

    def create(self, body: dict[str, Any]) -> Reply:
        head, base = body["head"], body["base"]
        if {head, base} - self.branches:
            return _invalid({"resource": "PullRequest", "field": "base", "code": "invalid"})
        if self.open_for(head, base):
            return _invalid(_custom(f"A pull request already exists for acme:{head}."))
        if self.lacks_commits(head):
            return _invalid(_custom(f"No commits between {base} and {head}"))
        if body["draft"] and not self.takes_drafts:
            return Reply(422, {"message": "Draft pull requests are not supported in this repository."})
        return Reply(201, self.as_json(self.add(body["title"], body["body"], head, base, is_draft=body["draft"])))

    def as_json(self, pull_request: StoredPullRequest) -> dict[str, Any]:
        """Return a pull request as GitHub shows it."""
        repository, fork = {"full_name": "acme/widgets"}, {"full_name": "stranger/widgets"}
        return {
            "number": pull_request.number,
            "html_url": f"https://elsewhere.example/pull/{pull_request.number}",
            "state": "open" if pull_request.state == "open" else "closed",
            "merged_at": "2026-11-28T00:00:00Z" if pull_request.state == "merged" else None,
            "draft": pull_request.is_draft,
            "title": pull_request.title,
            "body": pull_request.body or None,
            "head": {"ref": pull_request.head, "repo": fork if pull_request.is_of_fork else repository},
            "base": {"ref": pull_request.base, "repo": repository},
        }


def _custom(message: str) -> dict[str, str]:
    return {"resource": "PullRequest", "code": "custom", "message": message}


def _invalid(error: dict[str, str]) -> Reply:
    return Reply(422, {"message": "Validation Failed", "errors": [error]})
