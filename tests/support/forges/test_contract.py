"""The contract refuses what a real forge would refuse, or silently ignore."""

import json
from collections.abc import Mapping
from typing import Any, Final

import httpx
import pytest

from tests.support.forges.contract import GITHUB, body_faults
from tests.support.forges.github import GitHubStandIn
from tests.support.forges.stand_in import TOKEN

HEADERS: Final = {
    "authorization": f"Bearer {TOKEN}",
    "accept": "application/vnd.github+json",
    "accept-encoding": "identity",
    "x-github-api-version": "2022-11-28",
}
NEW: Final = {"title": "a", "body": "b", "head": "work", "base": "main", "draft": False}
PULLS: Final = "/repos/acme/widgets/pulls"


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "violation"),
    [
        ("POST", PULLS, HEADERS, {**NEW, "drafty": True}, "unknown field drafty"),
        ("POST", PULLS, HEADERS, {"title": "a", "body": "b", "head": "work", "draft": False}, "lacks base"),
        ("POST", PULLS, HEADERS, {**NEW, "draft": "no"}, "draft is 'no'"),
        ("POST", PULLS, HEADERS, {**NEW, "draft": 0}, "draft is 0"),
        ("POST", PULLS, HEADERS, [NEW], "body is no object"),
        ("POST", PULLS, {**HEADERS, "accept": "*/*"}, NEW, "header accept"),
        ("POST", PULLS, {**HEADERS, "accept-encoding": "gzip"}, NEW, "header accept-encoding"),
        ("PUT", PULLS, HEADERS, NEW, "no route PUT"),
        ("GET", f"{PULLS}?status=all", HEADERS, None, "unknown parameter status"),
        ("GET", f"{PULLS}/1", HEADERS, {}, "body is {}"),
        ("POST", "/repos/acme/widgets/issues/1/labels", HEADERS, {"labels": [7]}, "labels[] is 7"),
        ("POST", "/repos/acme/widgets/statuses/c0ffee", HEADERS, {"state": "done"}, "state is 'done'"),
    ],
)
def test_a_violation_is_answered_with_an_error_and_remembered(
    method: str, path: str, headers: Mapping[str, str], body: object, violation: str
) -> None:
    with GitHubStandIn() as forge:
        content = b"" if body is None else json.dumps(body).encode()
        answer = httpx.request(method, f"{forge.api_url}{path}", headers=headers, content=content)
        assert answer.status_code == 400
        assert violation in str(forge.violations)
        assert forge.pull_requests == []
        with pytest.raises(AssertionError):
            forge.check_contract()


@pytest.mark.parametrize(
    ("query", "violation"),
    [
        ("query { viewer { databaseId email } }", "Cannot query field"),
        (
            "query($number: Int) { repository(owner: 1, name: $number) { issue(number: 1) { title } } }",
            "cannot represent a non string value",
        ),
        ("query { viewer { databaseId }", "Syntax Error"),
        ("mutation { addComment }", "mutation"),
    ],
)
def test_a_query_that_is_not_valid_is_a_violation(query: str, violation: str) -> None:
    with GitHubStandIn() as forge:
        body = {"query": query, "variables": {}}
        answer = httpx.post(f"{forge.url}/api/graphql", headers=HEADERS, json=body)
        assert answer.json()["errors"]
        assert violation in str(forge.violations)


def test_a_wrong_token_and_a_right_request() -> None:
    with GitHubStandIn() as forge:
        wrong = httpx.post(f"{forge.api_url}{PULLS}", headers={**HEADERS, "authorization": f"token {TOKEN}"}, json=NEW)
        right = httpx.post(f"{forge.api_url}{PULLS}", headers=HEADERS, json=NEW)
        assert (wrong.status_code, right.status_code, len(forge.pull_requests)) == (401, 201, 1)
        forge.check_contract()


def test_a_nested_body_is_checked_at_each_level() -> None:
    schema: dict[str, Any] = {"source!": {"branch!": {"name!": str}}}
    assert body_faults(schema, {"source": {"branch": {"name": "a"}}}) == []
    assert body_faults(schema, {"source": {"branch": {"nam": "a"}}}) == [
        "branch has the unknown field nam",
        "branch lacks name",
    ]
    assert all(route.published for route in GITHUB.routes)
