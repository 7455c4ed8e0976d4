"""A stand-in of GitLab, below a path of its host."""

from typing import Any

from tests.support.forges.contract import GITLAB, Route
from tests.support.forges.stand_in import ForgeStandIn, Reply, Stored


class GitLabStandIn(ForgeStandIn):
    """A self-managed installation with a project in a subgroup."""

    name = "gitlab"
    contract = GITLAB
    repository = "/gitlab/acme/sub/widgets.git"
    root = "/gitlab/api/v4"

    def authorization(self) -> str:
        return f"Bearer {self.token}"

    def refused(self) -> Reply:
        return Reply(401, {"message": "401 Unauthorized"})

    def handle(self, route: Route, variables: dict[str, str], query: dict[str, list[str]], body: Any) -> Reply:
        if route.path == "/users":
            name = query["username"][0]
            return Reply(200, [{"id": self.users[name], "username": name}] if name in self.users else [])
        if variables["id"] != "acme/sub/widgets":
            return Reply(404, {"message": "404 Project Not Found"})
        if route.method != "GET" and self.is_archived:
            return Reply(403, {"message": "403 Forbidden - project is archived"})
        if "sha" in variables:
            return self._set_status(variables["sha"], body)
        if "number" not in variables:
            return self._list(query) if route.method == "GET" else self._create(body)
        stored = self.numbered(variables["number"])
        if not stored:
            return Reply(404, {"message": "404 Not found"})
        if route.method == "PUT":
            stored.title = body.get("title", stored.title)
            stored.is_draft = stored.title.startswith("Draft: ")
            stored.body = body.get("description", stored.body)
            stored.labels += [name for name in body.get("add_labels", "").split(",") if name]
            stored.reviewers = [str(each) for each in body.get("reviewer_ids", stored.reviewers)]
        return Reply(200, self.shown(stored))

    def _set_status(self, sha: str, body: dict[str, Any]) -> Reply:
        last = next((each for each in reversed(self.statuses) if each["sha"] == sha), None)
        if last and last["state"] == body["state"]:
            return Reply(400, {"message": {"state": [f"Cannot transition status via :enqueue from :{body['state']}"]}})
        self.statuses.append({"sha": sha, **body})
        return Reply(201, body)

    def _list(self, query: dict[str, list[str]]) -> Reply:
        pair = (query["source_branch"][0], query["target_branch"][0])
        return Reply(200, [self.shown(each) for each in reversed(self.stored) if (each.head, each.base) == pair])

    def _create(self, body: dict[str, Any]) -> Reply:
        head, base = body["source_branch"], body["target_branch"]
        if stored := self.open_for(head, base):
            message = f"Another open merge request already exists for this source branch: !{stored.number}"
            return Reply(409, {"message": [message]})
        if {head, base} - self.branches:
            return Reply(400, {"message": {"base": ["Target branch does not exist"]}})
        is_draft = body["title"].startswith("Draft: ")
        return Reply(201, self.shown(self.add(body["title"], body["description"], head, base, is_draft=is_draft)))

    def shown(self, stored: Stored) -> dict[str, Any]:
        """Return a merge request as GitLab shows it."""
        return {
            "id": 1000 + stored.number,
            "iid": stored.number,
            "web_url": f"https://elsewhere.example/{stored.number}",
            "state": {"open": "opened"}.get(stored.state, stored.state),
            "draft": stored.is_draft,
            "title": stored.title,
            "description": stored.body,
            "source_branch": stored.head,
            "target_branch": stored.base,
            "source_project_id": 6 if stored.is_of_fork else 5,
            "target_project_id": 5,
        }
