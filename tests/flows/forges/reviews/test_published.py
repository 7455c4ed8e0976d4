"""The queries and the contract of reviews agree with the forges' published descriptions, and real answers can be read.

See `tests/flows/forges/api/test_published.py` for where the descriptions are, and for the contract of the REST APIs.
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import graphql
import pytest
from openapi_schema_validator import OAS30Validator
from pydantic import SecretStr

from deployments.local.loopback import Exchange, LoopbackServer, ReceivedRequest
from flows.forges.reviews.base import ReviewApi
from flows.forges.reviews.conversation import Author, WriteAccess
from flows.forges.reviews.github_queries import CONVERSATION, ISSUE, THREAD, VIEWER
from flows.forges.reviews.replies import Note
from flows.forges.reviews.table import open_reviews
from tests.support.forges.fixtures import serve_reviews
from tests.support.forges.github_graphql import SCHEMA
from tests.support.forges.review_state import SECRET, StoredIssue
from tests.support.forges.stand_ins import STAND_INS

FOLDER: Final = Path(os.environ.get("FORGE_DESCRIPTIONS") or Path(__file__).parents[5] / "shared" / "forges")
QUERIES: Final = {"conversation": CONVERSATION, "thread": THREAD, "issue": ISSUE, "viewer": VIEWER}
DESCRIPTIONS: Final = {
    "github": ("github.json", "github-enterprise-server-3.19.json"),
    "gitlab": ("gitlab-handmade.json",),
    "gitea": ("forgejo-16.json", "forgejo-11.json"),
    "bitbucket": ("bitbucket-cloud.json",),
    "azure": ("azure-devops-git-7.1.json",),
}
PAIRS: Final = [(name, file) for name, files in DESCRIPTIONS.items() for file in files]
WORK_ITEMS: Final = "azure-devops-workitems-7.1.json"

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir() and not os.environ.get("FORGE_DESCRIPTIONS"),
    reason=f"NOT CHECKED: the forges' descriptions are not in {FOLDER}: set FORGE_DESCRIPTIONS to their folder",
)


def description(file: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FOLDER / file).read_text())
    return content


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_each_query_is_valid_in_githubs_schema(query: str) -> None:
    published = graphql.build_schema((FOLDER / "github.graphql").read_text())
    assert graphql.validate(published, graphql.parse(query)) == []


def test_the_schema_of_the_stand_in_has_nothing_that_github_lacks() -> None:
    published = graphql.build_schema((FOLDER / "github.graphql").read_text())
    for name, own in SCHEMA.type_map.items():
        if isinstance(own, graphql.GraphQLObjectType) and not name.startswith("__"):
            other = published.type_map[name]
            assert isinstance(other, graphql.GraphQLObjectType)
            for field, definition in own.fields.items():
                assert str(definition.type) == str(other.fields[field].type), (name, field)
                assert definition.args.keys() <= other.fields[field].args.keys(), (name, field)
        elif isinstance(own, graphql.GraphQLEnumType) and not name.startswith("__"):
            other = published.type_map[name]
            assert isinstance(other, graphql.GraphQLEnumType)
            assert own.values.keys() == other.values.keys()


@pytest.mark.parametrize(("name", "file"), PAIRS, ids=[file for _, file in PAIRS])
def test_each_body_that_is_sent_fits_the_published_schema(name: str, file: str) -> None:
    kind, root = next(kind for kind in STAND_INS if kind.name == name), description(file)
    count = 0
    with serve_reviews(kind) as (forge, api):
        write_everything(forge.reviews, api)
        for request in forge.writes():
            body = json.loads(request.body)
            route, _, _ = forge.contract.check(request, forge.root, body)
            assert route
            if not route.published:
                continue
            operation = root["paths"][route.published][route.method.lower()]
            content = resolved(root, operation["requestBody"])["content"]
            schema = {**resolved(root, next(iter(content.values()))["schema"]), "components": root["components"]}
            faults = [error.message for error in OAS30Validator(schema).iter_errors(body)]
            # Bitbucket's server does not ask for a type.
            assert [each for each in faults if (name, each) != ("bitbucket", "'type' is a required property")] == []
            count += 1
    assert count >= 2


def write_everything(state: Any, api: ReviewApi) -> None:  # noqa: ANN401 (the state of any stand-in)
    state.issues.append(StoredIssue(12, "a", "b"))
    state.say("ada", "rename it", path="a.py", line=3)
    (thread,) = api.threads(1).threads
    note = Note("done", "run", SECRET)
    api.reply(1, thread, note)
    comment = api.comment(1, note)
    api.edit_comment(1, comment.id, note)
    api.comment_on_issue(12, note)


def resolved(root: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        schema = target
    return schema


def test_work_items_are_asked_for_as_published() -> None:
    root = description(WORK_ITEMS)
    item = root["paths"]["/{organization}/{project}/_apis/wit/workitems/{id}"]["get"]
    comments = root["paths"]["/{organization}/{project}/_apis/wit/workItems/{workItemId}/comments"]["post"]
    fields = next(iter(resolved(root, comments["requestBody"])["content"].values()))["schema"]
    assert "text" in resolved(root, fields)["properties"]
    assert "api-version" in {resolved(root, each)["name"] for each in item["parameters"]}


class Replay(LoopbackServer):
    """Answers each request with one recorded answer."""

    def __init__(self, file: str) -> None:
        super().__init__()
        self.exchanges = description(file)["exchanges"]
        self.body: Any = None
        self.first_bodies: list[Any] = []
        """What the next requests get before all get `body`."""

    def choose(self, method: str, end: str) -> Any:  # noqa: ANN401 (JSON)
        """Answer from now on with the recorded answer to a request."""
        matching = [each for each in self.exchanges if each["method"] == method and each["url"].endswith(end)]
        self.body = matching[0]["body"]
        return self.body

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        assert request.headers["authorization"]
        body = self.first_bodies.pop(0) if self.first_bodies else self.body
        exchange.reply(200, json.dumps(body).encode())


def replay(server: Replay, forge: str) -> ReviewApi:
    return open_reviews(f"{server.url}/o/r.git", SecretStr("a-token"), forge=forge)


def test_recorded_answers_of_gitlab_are_read() -> None:
    with Replay("recorded-gitlab.json") as server, replay(server, "gitlab") as api:
        user = server.choose("GET", "/api/v4/user")
        account = api.own_account()
        assert account
        assert account == Author(str(user["id"]), user["username"])
        ended, other = server.choose("GET", "/members/all")
        assert ended["expires_at"].startswith("2019-")
        server.body = ended
        assert api.may_write(Author(str(ended["id"]), "x")) is WriteAccess.NO
        server.body = {**other, "expires_at": "2999-01-01T00:00:00Z"}
        assert api.may_write(Author(str(other["id"]), "x")) is WriteAccess.YES
        note = server.choose("GET", "/notes/686264162")
        comment = api._parse_comment(note)
        assert (comment.id, comment.text, comment.author.login) == ("686264162", "issue comment", "nikromen")
        assert comment.created == datetime(2021, 9, 24, 9, 39, 58, 912000, UTC) == comment.edited
        edited = server.choose("PUT", "/notes/252289087")
        assert api.edit_comment(1, "252289087", Note("x", "run", SECRET)).text == edited["body"]
        notes = server.choose("GET", "/notes?sort=asc")
        assert all(note["system"] for note in notes)
        server.choose("GET", "/statuses")
        assert api.failing_checks("11b37d9").checks == ()
        issue = server.choose("GET", "/issues/1")
        assert api._parse_comment({**issue, "body": issue["description"]}).text == "This is testing issue"


def test_recorded_system_notes_of_gitlab_are_nobodys_words() -> None:
    with Replay("recorded-gitlab.json") as server, replay(server, "gitlab") as api:
        notes = server.choose("GET", "/notes?sort=asc")
        server.first_bodies = [{"diff_refs": {"head_sha": "x"}}, [{"id": "a" * 40, "notes": notes}]]
        assert api.threads(1).threads == ()


def test_recorded_answers_of_forgejo_are_read() -> None:
    with Replay("recorded-forgejo.json") as server, replay(server, "gitea") as api:
        comments = server.choose("GET", "/issues/209/comments")
        assert [each.text for each in api._comments(209, "x")] == [each["body"] for each in comments]  # type: ignore[attr-defined]
        expected = {"lbarcziova": WriteAccess.NO, "mfocko": WriteAccess.YES, "packit-validator": WriteAccess.YES}
        for login, access in expected.items():
            user = server.choose("GET", f"/collaborators/{login}/permission")["user"]
            assert api.may_write(Author(str(user["id"]), login)) is access
        server.choose("PATCH", "/issues/comments/3172")
        assert api.edit_comment(1, "3172", Note("x", "run", SECRET)).text == "this wont hurt a bit"
        server.choose("GET", "?page=1")
        assert api.failing_checks("11b37d9").checks == ()
        issue = server.choose("GET", "/issues/244")
        assert api._parse_comment(issue).text == issue["body"]


def test_recorded_answers_of_github_are_read() -> None:
    with Replay("recorded-github.json") as server, replay(server, "github") as api:
        comments = server.choose("GET", "/issues/9/comments")
        parsed = [api._parse_comment(each) for each in comments]
        assert [each.text for each in parsed] == [each["body"] for each in comments]
        assert [each.author.id for each in parsed] == [str(each["user"]["id"]) for each in comments]
        server.choose("PATCH", "/issues/comments/559765628")
        assert api.edit_comment(1, "559765628", Note("x", "run", SECRET)).text == "see if updating works"
        issue = server.choose("GET", "/issues/194")
        assert not issue.get("pull_request")
