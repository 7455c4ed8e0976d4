"""A stand-in of Gitea and Forgejo."""

from typing import Any

from tests.support.forges.contract import GITEA, Route
from tests.support.forges.stand_in import ForgeStandIn, Reply, Stored


class GiteaStandIn(ForgeStandIn):
    """A server of Forgejo: it answers an update with 201, and may have a null in a list or in place of one."""

    name = "gitea"
    contract = GITEA
    root = "/api/v1"

    def authorization(self) -> str:
        return f"token {self.token}"

    def refused(self) -> Reply:
        return Reply(401, {"message": "user does not exist [uid: 0, name: ]", "url": f"{self.url}/api/swagger"})

    def handle(self, route: Route, variables: dict[str, str], query: dict[str, list[str]], body: Any) -> Reply:
        if route.method != "GET" and self.is_archived:
            return Reply(423, {"message": "repository is archived"})
        if "sha" in variables:
            self.statuses.append({"sha": variables["sha"], **body})
            return Reply(201, body)
        if route.path.endswith("/labels") and route.method == "GET":
            is_first = query["page"] == ["1"]
            labels = [{"id": number, "name": name} for name, number in self.known_labels.items()]
            return Reply(200, labels if is_first else [])
        if "head" in variables:
            stored = self.open_for(variables["head"], variables["base"])
            return Reply(200, self.shown(stored)) if stored else _MISSING
        if "number" not in variables:
            return self._list() if route.method == "GET" else self._create(body)
        stored = self.numbered(variables["number"])
        if not stored:
            return _MISSING
        if route.path.endswith("/labels"):
            stored.labels += [name for name, number in self.known_labels.items() if number in body["labels"]]
            return Reply(200, [{"name": name} for name in stored.labels])
        if route.path.endswith("/requested_reviewers"):
            if unknown := set(body["reviewers"]) - self.users.keys():
                return Reply(422, {"message": f"user {unknown} does not exist"})
            stored.reviewers += body["reviewers"]
            return Reply(201, [])
        if route.method == "PATCH":
            stored.title, stored.body = body["title"], body["body"]
            stored.is_draft = stored.title.startswith("WIP: ")
            return Reply(201, self.shown(stored))
        return Reply(200, self.shown(stored))

    def _list(self) -> Reply:
        return Reply(200, [None, *(self.shown(each) for each in reversed(self.stored))] if self.stored else None)

    def _create(self, body: dict[str, Any]) -> Reply:
        head, base = body["head"], body["base"]
        if {head, base} - self.branches:
            return _MISSING
        if self.open_for(head, base):
            return Reply(409, {"message": f"pull request already exists for these targets [head_branch: {head}]"})
        if self.lacks_commits(head):
            return Reply(422, {"message": "There are no changes between the head and the base"})
        is_draft = body["title"].startswith("WIP: ")
        return Reply(201, self.shown(self.add(body["title"], body["body"], head, base, is_draft=is_draft)))

    def shown(self, stored: Stored) -> dict[str, Any]:
        """Return a pull request as Forgejo shows it."""
        return {
            "number": stored.number,
            "html_url": f"https://elsewhere.example/{stored.number}",
            "state": "open" if stored.state == "open" else "closed",
            "merged": stored.state == "merged",
            "draft": stored.is_draft,
            "title": stored.title,
            "body": stored.body,
            "assignees": None,
            "head": {"ref": stored.head, "repo_id": 2 if stored.is_of_fork else 1},
            "base": {"ref": stored.base, "repo_id": 1},
        }


_MISSING = Reply(404, {"errors": [], "message": "The target couldn't be found."})
