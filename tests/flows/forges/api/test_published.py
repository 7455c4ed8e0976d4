"""The contract of the stand-ins agrees with the forges' published descriptions, and real answers can be read.

The descriptions and the recorded answers are not part of this repository. FORGE_DESCRIPTIONS names the folder that has
them, and must exist; without it, the tests use `shared/forges` beside the repository, or say that nothing was checked.
"""

import json
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from openapi_schema_validator import OAS30Validator
from pydantic import SecretStr

from deployments.local.loopback import Exchange, LoopbackServer, ReceivedRequest
from flows.errors import ForgePermissionMissing, PullRequestRefused
from flows.forges.api.base import CommitState, CommitStatus, PullRequest, PullRequestDraft
from flows.forges.api.table import open_api
from tests.support.forges.azure import ADA
from tests.support.forges.contract import Route
from tests.support.forges.fixtures import serve
from tests.support.forges.stand_in import ForgeStandIn
from tests.support.forges.stand_ins import STAND_INS

FOLDER: Final = Path(os.environ.get("FORGE_DESCRIPTIONS") or Path(__file__).parents[5] / "shared" / "forges")
DESCRIPTIONS: Final = {
    "github": ("github.json", "github-enterprise-server-3.19.json"),
    "gitlab": ("gitlab-handmade.json",),
    "gitea": ("forgejo-16.json", "forgejo-11.json"),
    "bitbucket": ("bitbucket-cloud.json",),
    "azure": ("azure-devops-git-7.1.json",),
}
KINDS: Final = {kind.name: kind for kind in STAND_INS}
PAIRS: Final = [(name, file) for name, files in DESCRIPTIONS.items() for file in files]
REVIEWERS: Final = {"bitbucket": "{ada}", "azure": ADA}

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir() and not os.environ.get("FORGE_DESCRIPTIONS"),
    reason=f"NOT CHECKED: the forges' descriptions are not in {FOLDER}: set FORGE_DESCRIPTIONS to their folder",
)


@cache
def description(file: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FOLDER / file).read_text())
    return content


def resolved(root: Mapping[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        schema = target
    return schema


def properties(root: Mapping[str, Any], schema: Any) -> dict[str, Any]:  # noqa: ANN401 (JSON)
    schema = resolved(root, schema)
    result: dict[str, Any] = {}
    for word in ("allOf", "oneOf", "anyOf"):
        for part in schema.get(word, []):
            result |= properties(root, part)
    result |= schema.get("properties", {})
    return result


def body_schema(root: Mapping[str, Any], operation: Mapping[str, Any]) -> Any:  # noqa: ANN401 (JSON)
    body = resolved(root, operation.get("requestBody") or {})
    contents: list[dict[str, Any]] = list(body.get("content", {}).values())
    return contents[0].get("schema") if contents else None


def published(kind: type[ForgeStandIn], file: str) -> Iterator[tuple[Route, dict[str, Any], dict[str, Any]]]:
    """Yield each route with its operation in a description, and the parameters of the operation."""
    root = description(file)
    for route in kind.contract.routes:
        if route.published:
            path = root["paths"][route.published]
            operation = path[route.method.lower()]
            parameters = [
                resolved(root, each) for each in (*path.get("parameters", ()), *operation.get("parameters", ()))
            ]
            yield route, operation, {each["name"]: each for each in parameters if each["in"] == "query"}


@pytest.mark.parametrize(("name", "file"), PAIRS, ids=[file for _, file in PAIRS])
def test_the_contract_has_no_field_and_no_parameter_that_is_not_published(name: str, file: str) -> None:
    kind, root = KINDS[name], description(file)
    count = 0
    for route, operation, parameters in published(kind, file):
        assert route.query - parameters.keys() - route.unpublished == set(), route
        required = {key for key, each in parameters.items() if each.get("required")}
        assert required <= route.query, route
        schema = body_schema(root, operation)
        assert (route.body is None) == (schema is None or not properties(root, schema) or route.method == "GET"), route
        if route.body is not None:
            known = properties(root, schema)
            names = {each.rstrip("!") for each in route.body}
            assert names - known.keys() - route.unpublished == set(), route
            assert route.unpublished <= names | route.query, "an exception that nothing needs any more"
            # Bitbucket's server does not ask for a type.
            required_fields = set(resolved(root, schema).get("required", ())) - {"type"}
            assert required_fields <= {each.rstrip("!") for each in route.body if each.endswith("!")}, route
        count += 1
    assert count == sum(bool(route.published) for route in kind.contract.routes) >= 5


@pytest.mark.parametrize(("name", "file"), PAIRS, ids=[file for _, file in PAIRS])
def test_each_body_that_is_sent_fits_the_published_schema(name: str, file: str) -> None:
    kind, root = KINDS[name], description(file)
    operations = {(route.method, route.path): (route, operation) for route, operation, _ in published(kind, file)}
    count = 0
    with serve(kind) as (forge, api):
        new = api.create(PullRequestDraft("a", "b", "work", "main", is_draft=True))
        assert isinstance(new, PullRequest)
        api.update(new, "c", "d")
        assert api.add_reviewers(1, [REVIEWERS.get(name, "ada")]) == ""
        api.add_labels(1, ["bot"])
        api.set_status(CommitStatus("c0ffee", CommitState.FAILURE, "not verified", "https://example.com"))
        for request in forge.writes():
            body = json.loads(request.body)
            route, _, _ = forge.contract.check(request, forge.root, body)
            assert route
            _, operation = operations[route.method, route.path]
            schema = {**resolved(root, body_schema(root, operation)), "components": root["components"]}
            sent = {key: value for key, value in body.items() if key not in route.unpublished}
            faults = [error.message for error in OAS30Validator(schema).iter_errors(sent)]
            # Bitbucket's server does not ask for a type.
            assert [each for each in faults if (name, each) != ("bitbucket", "'type' is a required property")] == []
            count += 1
    assert count >= 4


class Replay(LoopbackServer):
    """Answers each request with the recorded answer to the same one."""

    def __init__(self, file: str, prefix: str) -> None:
        super().__init__()
        self.prefix = prefix
        self.exchanges = [each for each in description(file)["exchanges"] if "body" in each]
        self.next: dict[str, Any] = {}

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        assert request.path.startswith(self.prefix)
        exchange.reply(self.next["status"], json.dumps(self.next["body"]).encode())


@pytest.mark.parametrize(
    ("name", "file", "prefix"),
    [
        ("github", "recorded-github.json", "/api/v3"),
        ("gitlab", "recorded-gitlab.json", "/api/v4"),
        ("gitea", "recorded-forgejo.json", "/api/v1"),
    ],
)
def test_recorded_answers_of_real_servers_are_read(name: str, file: str, prefix: str) -> None:
    counts = dict.fromkeys(("get", "create", "update", "status", "missing", "labels"), 0)
    with Replay(file, prefix) as server, open_api(f"{server.url}/o/r.git", SecretStr("a-token"), forge=name) as api:
        current = PullRequest(1, "", *(None,) * 6)  # type: ignore[arg-type]
        for each in server.exchanges:
            server.next = each
            path, body = urlsplit(each["url"]).path, each["body"]
            is_request = isinstance(body, dict) and ("head" in body or "source_branch" in body) and "title" in body
            match each["method"]:
                case "GET" if is_request:
                    assert_read(api.get(1), body, api.repository.page)
                    counts["get"] += 1
                case "GET" if each["status"] == 404 and "pull" in path:
                    with pytest.raises(ForgePermissionMissing):
                        api.get(1)
                    counts["missing"] += 1
                case "POST" if is_request:
                    new = api.create(PullRequestDraft("a", "b", "c", "d"))
                    assert isinstance(new, PullRequest)
                    assert_read(new, body, api.repository.page)
                    counts["create"] += 1
                case "PATCH" | "PUT" if is_request:
                    assert_read(api.update(current, "a", "b"), body, api.repository.page)
                    counts["update"] += 1
                case "POST" if "/statuses/" in path and each["status"] < 400:
                    api.set_status(CommitStatus("c0ffee", CommitState.SUCCESS, "x"))
                    counts["status"] += 1
                case "POST" if "/statuses/" in path:
                    with pytest.raises(PullRequestRefused, match="description is too long"):
                        api.set_status(CommitStatus("c0ffee", CommitState.SUCCESS, "x"))
                case "POST" if path.endswith("/labels") and name == "github":
                    assert api.add_labels(1, ["test_lb1"]) == ""
                    counts["labels"] += 1
                case _:
                    pass
    assert all(counts[kind] for kind in ("get", "create", "update", "status")), counts


@pytest.mark.parametrize(
    ("name", "file"),
    [("github", "recorded-github.json"), ("gitlab", "recorded-gitlab.json")],  # those of Forgejo are empty
)
def test_recorded_lists_of_pull_requests_are_read(name: str, file: str) -> None:
    count = 0
    prefix = {"github": "/api/v3", "gitlab": "/api/v4"}[name]
    with Replay(file, prefix) as server, open_api(f"{server.url}/o/r.git", SecretStr("a-token"), forge=name) as api:
        for each in server.exchanges:
            is_list = each["method"] == "GET" and isinstance(each["body"], list)
            if is_list and urlsplit(each["url"]).path.endswith(("/pulls", "/merge_requests")):
                for request in each["body"]:
                    assert_read(api._parse(request), request, api.repository.page)
                    count += 1
    assert count


def assert_read(request: PullRequest, body: Mapping[str, Any], page: str) -> None:
    assert request.number == (body["iid"] if "iid" in body else body["number"])
    assert request.url.startswith(page)
    assert body["title"].endswith(request.title)
    assert request.body == (body.get("body") or body.get("description") or "")
    assert request.head == (body["source_branch"] if "source_branch" in body else body["head"]["ref"])
    assert (request.state == "open") == (body["state"] in {"open", "opened"})
