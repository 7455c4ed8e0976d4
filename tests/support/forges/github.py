"""A stand-in of GitHub."""

from typing import Any

from tests.support.forges.contract import GITHUB
from tests.support.forges.stand_in import Call, ForgeStandIn, Reply, Stored


class GitHubStandIn(ForgeStandIn):
    """GitHub Enterprise Server, which has the same API as github.com."""

    name = "github"
    contract = GITHUB
    root = "/api/v3"
    refused = Reply(401, {"message": "Bad credentials", "status": "401"})
    missing = Reply(404, {"message": "Not Found"})
    archived = Reply(403, {"message": "Repository was archived so is read-only."})

    def authorization(self) -> str:
        return f"Bearer {self.token}"

    def handle_request(self, call: Call, stored: Stored) -> Reply:
        if call.route.path.endswith("/labels"):
            stored.labels += call.body["labels"]
            return Reply(200, [{"name": name} for name in stored.labels])
        if call.route.path.endswith("/requested_reviewers"):
            if unknown := set(call.body["reviewers"]) - self.users.keys():
                return Reply(422, {"message": f"Reviews may only be requested from collaborators: {unknown}"})
            stored.reviewers += call.body["reviewers"]
        elif call.is_write:
            stored.title, stored.body = call.body["title"], call.body["body"].replace("\n", "\r\n")
        return Reply(200, self.shown(stored))

    def find(self, query: dict[str, list[str]]) -> Reply:
        owner, _, head = query["head"][0].partition(":")
        matching = [
            each
            for each in reversed(self.stored)
            if (each.head, each.base) == (head, query["base"][0])
            and owner == "acme"
            and query["state"][0] in {"all", each.state}
        ]
        return Reply(200, [self.shown(each) for each in matching])

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
        return Reply(201, self.shown(self.add(body["title"], body["body"], head, base, is_draft=body["draft"])))

    def shown(self, stored: Stored) -> dict[str, Any]:
        """Return a pull request as GitHub shows it."""
        repository, fork = {"full_name": "acme/widgets"}, {"full_name": "stranger/widgets"}
        return {
            "number": stored.number,
            "html_url": f"https://elsewhere.example/pull/{stored.number}",
            "state": "open" if stored.state == "open" else "closed",
            "merged_at": "2026-11-28T00:00:00Z" if stored.state == "merged" else None,
            "draft": stored.is_draft,
            "title": stored.title,
            "body": stored.body or None,
            "head": {"ref": stored.head, "repo": fork if stored.is_of_fork else repository},
            "base": {"ref": stored.base, "repo": repository},
        }


def _custom(message: str) -> dict[str, str]:
    return {"resource": "PullRequest", "code": "custom", "message": message}


def _invalid(error: dict[str, str]) -> Reply:
    return Reply(422, {"message": "Validation Failed", "errors": [error]})
