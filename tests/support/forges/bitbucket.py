"""A stand-in of Bitbucket Cloud."""

import re
from base64 import b64encode
from typing import Any

from tests.support.forges.review_contract import BITBUCKET_REVIEWS
from tests.support.forges.reviews_bitbucket import BitbucketReviews
from tests.support.forges.stand_in import EMAIL, Call, ForgeStandIn, Reply, StoredPullRequest


class BitbucketStandIn(ForgeStandIn):
    """Bitbucket returns the open pull request for a second one, and forgets the reviewers that are not sent again."""

    name = "bitbucket"
    contract = BITBUCKET_REVIEWS
    review_state = BitbucketReviews
    root = "/2.0"
    refused = Reply(401, {"type": "error", "error": {"message": "Token is invalid or expired."}})
    missing = Reply(404, {"type": "error", "error": {"message": "Not found"}})
    archived = Reply(403, {"type": "error", "error": {"message": "This repository is archived."}})

    def authorization(self) -> str:
        if self.token.startswith("ATAT"):
            return f"Basic {b64encode(f'{EMAIL}:{self.token}'.encode()).decode()}"
        return f"Bearer {self.token}"

    def handle_request(self, call: Call, pull_request: StoredPullRequest) -> Reply:
        if call.is_write:
            uuids = [each["uuid"] for each in call.body["reviewers"]]
            if unknown := set(uuids) - {"{ada}", "{grace}"}:
                return Reply(400, {"error": {"fields": {"reviewers": [f"Malformed reviewers list {unknown}"]}}})
            pull_request.title, pull_request.body = call.body["title"], call.body["description"]
            pull_request.reviewers = uuids
        return Reply(200, self.as_json(pull_request))

    def find(self, query: dict[str, list[str]]) -> Reply:
        name = re.fullmatch(r'source\.branch\.name="(.*)"', query["q"][0])
        assert name
        head = re.sub(r"\\(.)", r"\1", name[1])
        shown = [self.as_json(each) for each in reversed(self.pull_requests) if each.head == head]
        return Reply(200, {"values": [each for each in shown if each["state"] in query["state"]]})

    def create(self, body: dict[str, Any]) -> Reply:
        head, base = body["source"]["branch"]["name"], body["destination"]["branch"]["name"]
        if {head, base} - self.branches:
            return Reply(400, {"type": "error", "error": {"message": f"branch not found: {head}"}})
        if self.lacks_commits(head):
            return Reply(400, {"type": "error", "error": {"message": "There are no changes to be pulled"}})
        if body["draft"] and not self.takes_drafts:
            return Reply(400, {"type": "error", "error": {"message": "draft pull requests are not enabled"}})
        pull_request = self.open_for(head, base) or self.add(
            body["title"], body["description"], head, base, is_draft=body["draft"]
        )
        return Reply(201, self.as_json(pull_request))

    def as_json(self, pull_request: StoredPullRequest) -> dict[str, Any]:
        """Return a pull request as Bitbucket shows it."""
        own, fork = {"full_name": "acme/widgets"}, {"full_name": "stranger/widgets"}
        return {
            "id": pull_request.number,
            "links": {"html": {"href": f"https://elsewhere.example/{pull_request.number}"}},
            "state": {"closed": "DECLINED"}.get(pull_request.state, pull_request.state.upper()),
            "draft": pull_request.is_draft,
            "title": pull_request.title,
            "description": pull_request.body,
            "reviewers": [{"uuid": each} for each in pull_request.reviewers],
            "source": {"branch": {"name": pull_request.head}, "repository": fork if pull_request.is_of_fork else own},
            "destination": {"branch": {"name": pull_request.base}, "repository": own},
        }
