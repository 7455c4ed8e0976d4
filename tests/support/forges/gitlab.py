"""A stand-in of GitLab, below a path of its host."""

from typing import Any

from tests.support.forges.review_contract import GITLAB_REVIEWS
from tests.support.forges.review_state import HEAD
from tests.support.forges.reviews_gitlab import GitLabReviews
from tests.support.forges.stand_in import Call, ForgeStandIn, Reply, StoredPullRequest


class GitLabStandIn(ForgeStandIn):
    """A self-managed installation with a project in a subgroup."""

    name = "gitlab"
    contract = GITLAB_REVIEWS
    review_state = GitLabReviews
    repository = "/gitlab/acme/sub/widgets.git"
    root = "/gitlab/api/v4"
    refused = Reply(401, {"message": "401 Unauthorized"})
    missing = Reply(404, {"message": "404 Not found"})
    archived = Reply(403, {"message": "403 Forbidden - project is archived"})

    def authorization(self) -> str:
        return f"Bearer {self.token}"

    def handle_other(self, call: Call) -> Reply | None:
        if call.route.path == "/users":
            name = call.query["username"][0]
            return Reply(200, [{"id": self.users[name], "username": name}] if name in self.users else [])
        if call.variables.get("id", "acme/sub/widgets") != "acme/sub/widgets":
            return Reply(404, {"message": "404 Project Not Found"})
        return None

    def handle_request(self, call: Call, pull_request: StoredPullRequest) -> Reply:
        if call.is_write:
            pull_request.title = call.body.get("title", pull_request.title)
            pull_request.is_draft = pull_request.title.startswith("Draft: ")
            pull_request.body = call.body.get("description", pull_request.body)
            pull_request.labels += [name for name in call.body.get("add_labels", "").split(",") if name]
            pull_request.reviewers = [str(each) for each in call.body.get("reviewer_ids", pull_request.reviewers)]
        return Reply(200, self.as_json(pull_request))

    def set_status(self, sha: str, body: dict[str, Any]) -> Reply:
        last = next((each for each in reversed(self.statuses) if each["sha"] == sha), None)
        if last and last["state"] == body["state"]:
            return Reply(400, {"message": {"state": [f"Cannot transition status via :enqueue from :{body['state']}"]}})
        return super().set_status(sha, body)

    def find(self, query: dict[str, list[str]]) -> Reply:
        head = query["source_branch"][0]
        return Reply(200, [self.as_json(each) for each in reversed(self.pull_requests) if each.head == head])

    def create(self, body: dict[str, Any]) -> Reply:
        head, base = body["source_branch"], body["target_branch"]
        if pull_request := self.open_for(head, base):
            message = f"Another open merge request already exists for this source branch: !{pull_request.number}"
            return Reply(409, {"message": [message]})
        if {head, base} - self.branches:
            return Reply(400, {"message": {"base": ["Target branch does not exist"]}})
        is_draft = body["title"].startswith("Draft: ")
        return Reply(201, self.as_json(self.add(body["title"], body["description"], head, base, is_draft=is_draft)))

    def as_json(self, pull_request: StoredPullRequest) -> dict[str, Any]:
        """Return a merge request as GitLab shows it."""
        return {
            "id": 1000 + pull_request.number,
            "iid": pull_request.number,
            "web_url": f"https://elsewhere.example/{pull_request.number}",
            "state": {"open": "opened"}.get(pull_request.state, pull_request.state),
            "draft": pull_request.is_draft,
            "title": pull_request.title,
            "description": pull_request.body,
            "reviewers": [{"id": int(each)} for each in pull_request.reviewers],
            "source_branch": pull_request.head,
            "target_branch": pull_request.base,
            "source_project_id": 6 if pull_request.is_of_fork else 5,
            "target_project_id": 5,
            "diff_refs": {"base_sha": "b", "start_sha": "b", "head_sha": HEAD},
        }
