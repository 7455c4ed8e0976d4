"""A stand-in of Gitea and Forgejo."""

from typing import Any

from tests.support.forges.review_contract import GITEA_REVIEWS
from tests.support.forges.reviews_gitea import GiteaReviews
from tests.support.forges.stand_in import Call, ForgeStandIn, Reply, StoredPullRequest


class GiteaStandIn(ForgeStandIn):
    """A server of Forgejo. It answers an update with 201, and has null in a list or instead of an empty one."""

    name = "gitea"
    contract = GITEA_REVIEWS
    review_state = GiteaReviews
    root = "/api/v1"
    refused = Reply(401, {"message": "user does not exist [uid: 0, name: ]"})
    missing = Reply(404, {"errors": [], "message": "The target couldn't be found."})
    archived = Reply(423, {"message": "repository is archived"})

    def authorization(self) -> str:
        return f"token {self.token}"

    def handle_other(self, call: Call) -> Reply | None:
        if call.route.path.endswith("/labels") and not call.is_write:
            labels = [{"id": number, "name": name} for name, number in self.known_labels.items()]
            return Reply(200, labels if call.query["page"] == ["1"] else [])
        if "head" in call.variables:
            pull_request = self.open_for(call.variables["head"], call.variables["base"])
            return Reply(200, self.as_json(pull_request)) if pull_request else self.missing
        return None

    def handle_request(self, call: Call, pull_request: StoredPullRequest) -> Reply:
        if call.route.path.endswith("/labels"):
            pull_request.labels += [name for name, number in self.known_labels.items() if number in call.body["labels"]]
            return Reply(200, [{"name": name} for name in pull_request.labels])
        if call.route.path.endswith("/requested_reviewers"):
            if unknown := set(call.body["reviewers"]) - self.users.keys():
                return Reply(422, {"message": f"user {unknown} does not exist"})
            pull_request.reviewers += call.body["reviewers"]
        elif call.is_write:
            pull_request.title, pull_request.body = call.body["title"], call.body["body"]
            pull_request.is_draft = pull_request.title.startswith("WIP: ")
        return Reply(201 if call.is_write else 200, self.as_json(pull_request))

    def find(self, query: dict[str, list[str]]) -> Reply:
        assert query["state"] == ["all"]
        return Reply(
            200, [None, *(self.as_json(each) for each in reversed(self.pull_requests))] if self.pull_requests else None
        )

    def create(self, body: dict[str, Any]) -> Reply:
        head, base = body["head"], body["base"]
        if {head, base} - self.branches:
            return self.missing
        if self.open_for(head, base):
            return Reply(409, {"message": f"pull request already exists for these targets [head_branch: {head}]"})
        if self.lacks_commits(head):
            return Reply(422, {"message": "There are no changes between the head and the base"})
        is_draft = body["title"].startswith("WIP: ")
        return Reply(201, self.as_json(self.add(body["title"], body["body"], head, base, is_draft=is_draft)))

    def as_json(self, pull_request: StoredPullRequest) -> dict[str, Any]:
        """Return a pull request as Forgejo shows it."""
        return {
            "number": pull_request.number,
            "html_url": f"https://elsewhere.example/{pull_request.number}",
            "state": "open" if pull_request.state == "open" else "closed",
            "merged": pull_request.state == "merged",
            "draft": pull_request.is_draft,
            "title": pull_request.title,
            "body": pull_request.body,
            "assignees": None,
            "head": {"ref": pull_request.head, "repo_id": 2 if pull_request.is_of_fork else 1},
            "base": {"ref": pull_request.base, "repo_id": 1},
        }
