"""Each way in which a forge refuses or fails has a name, also where it shows what is said."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from flows.errors import (
    ForgeAuthFailed,
    ForgePermissionMissing,
    ForgeUnavailable,
    IssueNotFound,
    PullRequestRefused,
)
from flows.forges.api.client import Answer
from flows.forges.reviews.base import ReviewApi
from flows.forges.reviews.conversation import Author, Thread, WriteAccess
from flows.forges.reviews.replies import Note
from flows.forges.reviews.table import open_reviews
from tests.support.forges.azure import AzureStandIn
from tests.support.forges.bitbucket import BitbucketStandIn
from tests.support.forges.fixtures import serve_reviews
from tests.support.forges.github import GitHubStandIn
from tests.support.forges.review_state import HEAD, SECRET
from tests.support.forges.stand_in import EMAIL, Fault, ForgeStandIn, Reply
from tests.support.forges.stand_ins import STAND_INS, open_stand_in_reviews

NAMED = (ForgeAuthFailed, ForgePermissionMissing, PullRequestRefused, IssueNotFound)
NOTE = Note("a", "run", SECRET)
each_forge = pytest.mark.parametrize("kind", STAND_INS, ids=[kind.name for kind in STAND_INS])
READS: dict[str, Callable[[ReviewApi], Any]] = {
    "threads": lambda api: api.threads(1),
    "checks": lambda api: api.failing_checks(HEAD),
    "issue": lambda api: api.issue(12),
}
WRITES: dict[str, Callable[[ReviewApi], Any]] = {
    "comment": lambda api: api.comment(1, NOTE),
    "edit": lambda api: api.edit_comment(1, "1-1" if api.repository.forge.name == "azure" else "1", NOTE),
    "comment on issue": lambda api: api.comment_on_issue(12, NOTE),
}
CALLS = READS | WRITES


@each_forge
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_wrong_token_is_refused(kind: type[ForgeStandIn], call: Callable[[ReviewApi], Any]) -> None:
    with kind() as forge, open_stand_in_reviews(forge, "a-wrong-token") as api:
        with pytest.raises(ForgeAuthFailed, match="token") as error:
            call(api)
        assert "a-wrong-token" not in str(error.value)
        assert len(forge.requests) == 1


@each_forge
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_failure_can_be_repeated_and_is_not_repeated_here(
    kind: type[ForgeStandIn], call: Callable[[ReviewApi], Any]
) -> None:
    with serve_reviews(kind) as (forge, api):
        for count, status in enumerate((429, 500, 503), 1):
            forge.faults[:] = [Fault(".", Reply(status, b"<h1>bad</h1>"), count=9)]
            with pytest.raises(ForgeUnavailable):
                call(api)
            assert len(forge.requests) == count


@each_forge
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_no_redirect_is_followed(kind: type[ForgeStandIn], call: Callable[[ReviewApi], Any]) -> None:
    with kind() as target, serve_reviews(kind) as (forge, api):
        reply = Reply(307, {}, {"location": f"{target.api_url}/renamed?token=secret"})
        forge.faults.append(Fault(".", reply, count=9))
        with pytest.raises(PullRequestRefused) as error:
            call(api)
        assert "secret" not in str(error.value)
        assert target.requests == []


@each_forge
@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES)
def test_a_missing_permission_is_named(kind: type[ForgeStandIn], call: Callable[[ReviewApi], Any]) -> None:
    with serve_reviews(kind) as (forge, api):
        forge.faults.append(Fault(".", Reply(403, {"message": "no such permission"}), count=9))
        with pytest.raises(ForgePermissionMissing, match="no such permission"):
            call(api)


@each_forge
def test_an_archived_repository_is_named(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        forge.is_archived = True
        with pytest.raises(PullRequestRefused, match="archived"):
            api.comment(1, NOTE)


@each_forge
def test_a_pull_request_that_does_not_exist_is_named(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        forge.faults.append(Fault(".", kind.missing, count=9))
        with pytest.raises((ForgePermissionMissing, IssueNotFound, PullRequestRefused), match=r"5|answer"):
            api.threads(5)


def test_a_pull_request_that_github_does_not_have_is_named() -> None:
    with serve_reviews(GitHubStandIn) as (_, api), pytest.raises(ForgePermissionMissing, match="number of 5"):
        api.threads(5)


@pytest.mark.parametrize(
    ("error", "named"),
    [
        ({"type": "RATE_LIMITED", "message": "API rate limit exceeded"}, ForgeUnavailable),
        ({"type": "FORBIDDEN", "message": "Resource not accessible"}, ForgePermissionMissing),
        ({"type": "INSUFFICIENT_SCOPES", "message": "needs read:org"}, ForgePermissionMissing),
        ({"message": "Something went wrong while executing your query"}, ForgeUnavailable),
        ({"message": "Field 'x' doesn't exist"}, PullRequestRefused),
    ],
    ids=["limit", "forbidden", "scopes", "fault", "other"],
)
def test_an_error_in_an_answer_of_graphql_is_named(error: dict[str, str], named: type[Exception]) -> None:
    with serve_reviews(GitHubStandIn) as (forge, api):
        forge.faults.append(Fault("graphql", Reply(200, {"data": None, "errors": [error]})))
        with pytest.raises(named, match=error["message"]):
            api.threads(1)


ODD = [
    Reply(200, b"<html>sign in</html>"),
    Reply(200, {"unexpected": True}),
    Reply(200, {"value": 1, "values": "x", "comments": {}, "data": []}),
    Reply(200, {"value": [1], "values": [1], "data": {"repository": None}}),
    Reply(200, "text"),
    Reply(200, [[[]]]),
    Reply(200, [{"id": "1/../2", "notes": [{}], "user": None, "body": 1}]),
    Reply(200, b"[" * 100_000),
    Reply(418, {"message": ["odd", {"a": ["b"]}]}),
    Reply(422, b""),
]


@each_forge
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_answer_of_any_form_is_a_named_error(kind: type[ForgeStandIn], call: Callable[[ReviewApi], Any]) -> None:
    with serve_reviews(kind) as (forge, api):
        for reply in ODD:
            forge.faults[:] = [Fault(".", reply, count=99)]
            with pytest.raises((*NAMED, ForgeUnavailable)) as error:
                call(api)
            # What may have been written can be looked for by the next attempt. A read would fail again.
            assert not (error.value.retryable and call in READS.values())


@pytest.mark.parametrize("kind", STAND_INS[:3], ids=lambda kind: kind.name)
def test_an_odd_answer_about_an_account_trusts_nobody(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        for reply in ODD:
            forge.faults[:] = [Fault(".", reply, count=99)]
            try:
                access = api.may_write(Author("11", "ada"))
            except NAMED:
                access = WriteAccess.NO
            assert access is WriteAccess.NO


@each_forge
def test_a_moment_that_is_none_is_a_named_error(kind: type[ForgeStandIn]) -> None:
    name = {"bitbucket": "created_on", "azure": "publishedDate"}.get(kind.name, "created_at")
    with serve_reviews(kind) as (_, api):
        for moment in ("yesterday", "", None, 17, "2026-13-01T00:00:00Z"):
            body = {"id": 1, "user": {"id": 1}, "body": "", name: moment}
            answer = Answer(200, {}, {"id": 1, "comments": [body]} if kind is AzureStandIn else body)
            with pytest.raises(ForgeUnavailable, match="unknown form"):
                api._written(answer, "write a comment")


@each_forge
def test_the_thread_of_another_forge_is_refused_before_a_request(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        for thread_id in ("thread-1/../../2", "new-1-2/3", "", "review-", "1 2", "../1"):
            with pytest.raises(PullRequestRefused, match="not a thread"):
                api.reply(1, Thread(thread_id, (), path="a.py"), NOTE)
        assert forge.requests == []


def test_the_token_goes_to_one_origin() -> None:
    with GitHubStandIn() as forge, GitHubStandIn() as other:
        forge.add("a", "b", "work", "main")
        with open_reviews(forge.repo_url, SecretStr(forge.token), EMAIL, forge="github") as api:
            api.threads(1)
            api.own_account()
            api.comment(1, NOTE)
        assert {request.headers["authorization"] for request in forge.requests} == {f"Bearer {forge.token}"}
        assert {request.path.partition("?")[0] for request in forge.requests} == {
            "/api/graphql",
            "/api/v3/repos/acme/widgets/issues/1/comments",
        }
        assert other.requests == []


def test_a_bitbucket_token_of_a_person_is_sent_with_the_address() -> None:
    with serve_reviews(BitbucketStandIn, "ATATT3xFfGF0-api-token") as (_, api):
        assert api.own_account()
