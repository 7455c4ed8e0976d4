"""Each way in which a forge refuses or fails has a name, and tells what to do; no write is repeated."""

import pickle
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from flows.errors import (
    ForgeAuthFailed,
    ForgePermissionMissing,
    ForgeUnavailable,
    PullRequestRefused,
    RunError,
)
from flows.forges.api.base import CommitState, CommitStatus, PullRequest, PullRequestDraft
from flows.redaction import SECRETS
from tests.support.forges.azure import AzureStandIn
from tests.support.forges.bitbucket import BitbucketStandIn
from tests.support.forges.fixtures import serve
from tests.support.forges.gitea import GiteaStandIn
from tests.support.forges.github import GitHubStandIn
from tests.support.forges.gitlab import GitLabStandIn
from tests.support.forges.stand_in import Fault, ForgeStandIn, Reply
from tests.support.forges.stand_ins import STAND_INS, open_stand_in

NAMED = (ForgeAuthFailed, ForgePermissionMissing, PullRequestRefused)
DRAFT = PullRequestDraft("a", "b", "work", "main")
STATUS = CommitStatus("c0ffee", CommitState.SUCCESS, "verified")
each_forge = pytest.mark.parametrize("kind", STAND_INS, ids=[kind.name for kind in STAND_INS])


@each_forge
def test_a_wrong_token_is_refused(kind: type[ForgeStandIn]) -> None:
    with kind() as forge, open_stand_in(forge, "a-wrong-token") as api:
        with pytest.raises(ForgeAuthFailed, match="token"):
            api.find("work", "main")
        with pytest.raises(ForgeAuthFailed, match="token"):
            api.set_status(STATUS)
        with pytest.raises(ForgeAuthFailed, match="token") as error:
            api.create(DRAFT)
        assert "a-wrong-token" not in str(error.value)
        assert not forge.pull_requests
        assert not forge.statuses


@each_forge
@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_failure_before_the_write_can_be_repeated_and_nothing_is_repeated_here(
    kind: type[ForgeStandIn], status: int
) -> None:
    with serve(kind) as (forge, api):
        forge.faults.append(Fault("POST", Reply(status, b"<h1>bad gateway</h1>")))
        with pytest.raises(ForgeUnavailable):
            api.create(DRAFT)
        assert (len(forge.writes()), len(forge.pull_requests)) == (1, 0)
        api.create(DRAFT)
        assert len(forge.pull_requests) == 1


@each_forge
def test_a_lost_answer_is_an_error_that_can_be_repeated_and_the_next_search_finds_the_request(
    kind: type[ForgeStandIn],
) -> None:
    with serve(kind) as (forge, api):
        forge.faults.append(Fault("POST"))
        with pytest.raises(ForgeUnavailable, match="did not answer"):
            api.create(DRAFT)
        assert len(forge.writes()) == 1
        assert [each.title for each in api.find("work", "main")] == ["a"]


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected"),
    [
        (429, {"retry-after": "17"}, {"message": "slow down"}, 17),
        (403, {"retry-after": "60"}, {"message": "You have exceeded a secondary rate limit"}, 60),
        (403, {}, {"message": "API rate limit exceeded for user ID 1."}, 0),
        (503, {"retry-after": "5"}, {"message": "maintenance"}, 5),
        (429, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, {}, 0),
        (429, {"retry-after": "99999999"}, {}, 3600),
    ],
    ids=["429", "secondary limit", "without header", "maintenance", "a date", "days"],
)
def test_a_rate_limit_says_when_to_ask_again(
    status: int, headers: dict[str, str], body: dict[str, str], expected: int
) -> None:
    with serve(GitHubStandIn) as (forge, api):
        forge.faults.append(Fault("POST", Reply(status, body, headers)))
        with pytest.raises(ForgeUnavailable) as error:
            api.create(DRAFT)
        assert error.value.retry_after_seconds == expected
        assert (f"retry after {expected} s" in str(error.value)) is bool(expected)
        assert error.value.retryable
        assert pickle.loads(pickle.dumps(error.value)).retry_after_seconds == expected  # noqa: S301 (pickled here)


def test_the_end_of_a_rate_limit_may_be_a_moment() -> None:
    with serve(GitHubStandIn) as (forge, api):
        reset = str(int(time.time()) + 600)
        reply = Reply(403, {"message": "limit"}, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset})
        forge.faults.append(Fault("GET", reply))
        with pytest.raises(ForgeUnavailable) as error:
            api.find("work", "main")
        assert 0 < error.value.retry_after_seconds <= 600


def test_the_end_of_a_rate_limit_may_be_a_date() -> None:
    with serve(GitHubStandIn) as (forge, api):
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True)
        forge.faults.append(Fault("GET", Reply(429, {}, {"retry-after": date})))
        with pytest.raises(ForgeUnavailable) as error:
            api.find("work", "main")
        assert 0 < error.value.retry_after_seconds <= 600


@pytest.mark.parametrize(
    ("kind", "reply", "names"),
    [
        (
            GitHubStandIn,
            Reply(
                403,
                {"message": "Resource not accessible by personal access token"},
                {"x-accepted-github-permissions": "issues=write; pull_requests=write"},
            ),
            "issues=write; pull_requests=write",
        ),
        (GitHubStandIn, Reply(404, {"message": "Not Found"}), "check that it is for this repository"),
        (GitLabStandIn, Reply(403, {"error": "insufficient_scope", "scope": "api"}), "the scope is api"),
        (GitLabStandIn, Reply(403, {"message": "403 Forbidden"}), "403 Forbidden"),
        (GiteaStandIn, Reply(403, {"message": "token does not have scope: [write:repository]"}), "write:repository"),
        (
            BitbucketStandIn,
            Reply(
                403,
                {
                    "type": "error",
                    "error": {
                        "message": "Your credentials lack one or more required privilege scopes.",
                        "detail": {"granted": ["a"], "required": ["write:pullrequest:bitbucket"]},
                    },
                },
            ),
            "the scopes are write:pullrequest:bitbucket",
        ),
        (
            AzureStandIn,
            Reply(403, {"message": "TF401027: You need the Git 'PullRequestContribute' permission"}),
            "TF401027",
        ),
    ],
    ids=["github", "github 404", "gitlab scope", "gitlab", "gitea", "bitbucket", "azure"],
)
def test_a_missing_permission_is_named(kind: type[ForgeStandIn], reply: Reply, names: str) -> None:
    with serve(kind) as (forge, api):
        forge.faults.append(Fault("POST", reply))
        with pytest.raises(ForgePermissionMissing) as error:
            api.create(DRAFT)
        assert names in str(error.value)
        assert "token" in str(error.value)


@each_forge
def test_a_missing_permission_for_a_wish_is_a_text(kind: type[ForgeStandIn]) -> None:
    with serve(kind) as (forge, api):
        api.create(DRAFT)
        forge.faults.append(Fault(".", Reply(403, {"message": "no such permission"}), count=9))
        reviewer = {"bitbucket": "{ada}", "azure": "0a1b2c3d-0000-4000-8000-00000000000a"}.get(kind.name, "ada")
        assert "no such permission" in api.add_reviewers(1, [reviewer])
        if kind is not BitbucketStandIn:
            assert "no such permission" in api.add_labels(1, ["bot"])


@each_forge
def test_an_archived_repository_is_named(kind: type[ForgeStandIn]) -> None:
    with serve(kind) as (forge, api):
        forge.is_archived = True
        with pytest.raises(PullRequestRefused, match="archived"):
            api.create(DRAFT)


@each_forge
def test_a_base_branch_that_does_not_exist_is_a_named_error(kind: type[ForgeStandIn]) -> None:
    with serve(kind) as (_, api), pytest.raises((PullRequestRefused, ForgePermissionMissing)) as error:
        api.create(PullRequestDraft("a", "b", "work", "gone"))
    assert len(str(error.value)) > 40


@each_forge
@pytest.mark.parametrize("reply", [Reply(404, b"<html>"), Reply(400, {"message": "no such route"})], ids=["404", "400"])
def test_the_refusal_of_a_search_names_the_address_of_the_api(kind: type[ForgeStandIn], reply: Reply) -> None:
    with serve(kind) as (forge, api):
        forge.faults.append(Fault("GET", reply, 2))  # Gitea asks twice
        with pytest.raises((PullRequestRefused, ForgePermissionMissing), match="forge_api_url is") as error:
            api.find("work", "main")
        assert "pushed" not in str(error.value), "the doctor searches as well, and has pushed nothing"


@each_forge
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(kind: type[ForgeStandIn], status: int) -> None:
    with kind() as target, serve(kind) as (forge, api):
        location = f"{target.api_url}/renamed?token=secret"
        for method in ("GET", "POST"):
            forge.faults.append(Fault(method, Reply(status, {}, {"location": location})))
        with pytest.raises(PullRequestRefused):
            api.find("work", "main")
        with pytest.raises(PullRequestRefused) as error:
            api.create(DRAFT)
        assert f"{target.api_url}/renamed," in str(error.value)
        assert "secret" not in str(error.value)
        assert target.requests == []


@pytest.mark.parametrize("number", ["1/../../other", None, 1.5, True], ids=repr)
def test_a_number_that_is_none_is_a_named_error(number: object) -> None:
    with serve(GitHubStandIn) as (forge, api):
        shown = forge.as_json(forge.add("a", "b", "work", "main"))
        forge.faults.append(Fault("GET", Reply(200, {**shown, "number": number})))
        with pytest.raises(PullRequestRefused, match="unknown form"):
            api.get(1)


@each_forge
@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"<html>sign in</html>"),
        Reply(200, {"unexpected": True}),
        Reply(200, []),
        Reply(200, "text"),
        Reply(200, [[[]]]),
        Reply(200, b"[" * 100_000),
        Reply(201, None),
        Reply(418, {"message": ["odd", {"a": ["b"]}]}),
        Reply(422, b""),
    ],
    ids=["page", "object", "list", "text", "nested", "deep", "null", "teapot", "nothing"],
)
def test_an_answer_of_any_form_is_a_named_error(kind: type[ForgeStandIn], reply: Reply) -> None:
    with serve(kind) as (forge, api):
        forge.faults.append(Fault(".", reply, count=99))
        with pytest.raises((*NAMED, ForgeUnavailable)):
            api.create(DRAFT)
        with pytest.raises(NAMED):
            api.get(1)


def test_an_answer_that_was_cut_off_can_be_asked_for_again() -> None:
    with serve(GitHubStandIn) as (forge, api):
        cut_off = Reply(201, b'{"number": 1, "title": "a', {"content-type": "application/json; charset=utf-8"})
        forge.faults.append(Fault("POST", cut_off))
        with pytest.raises(ForgeUnavailable, match="cut off"):
            api.create(DRAFT)


def test_an_answer_that_never_ends_is_cut_off() -> None:
    with serve(GitHubStandIn) as (forge, api):
        forge.faults.append(Fault("GET", Reply(200, b'["' + b"x" * 9 * 2**20 + b'"]')))
        with pytest.raises(ForgeUnavailable, match="too long"):
            api.get(1)


def test_a_server_that_does_not_exist_is_unavailable() -> None:
    with GitHubStandIn() as forge:
        pass
    with open_stand_in(forge) as api, pytest.raises(ForgeUnavailable, match="did not answer"):
        api.get(1)


@each_forge
@pytest.mark.parametrize("reply", [Reply(201, {}), Reply(201, []), Reply(200, {"unexpected": 1})], ids=repr)
def test_a_request_that_was_opened_with_an_answer_of_no_use_is_found_by_the_next_attempt(
    kind: type[ForgeStandIn], reply: Reply
) -> None:
    with serve(kind) as (forge, api):
        forge.faults.append(Fault("POST", reply))
        with pytest.raises(ForgeUnavailable, match="unknown form"):
            api.create(DRAFT)


ODD = [{}, [], [[]], [{}], {"reviewers": 1}, {"reviewers": [1]}, [1], "text", 7, None, [{"id": "x", "name": []}]]


@each_forge
@pytest.mark.parametrize("body", ODD, ids=repr)
def test_an_answer_of_another_form_is_never_an_error_without_a_name(kind: type[ForgeStandIn], body: object) -> None:
    reviewer = {"bitbucket": "{ada}", "azure": "0a1b2c3d-0000-4000-8000-00000000000a"}.get(kind.name, "ada")
    with serve(kind) as (forge, api):
        new = api.create(DRAFT)
        assert isinstance(new, PullRequest)
        for call in (
            lambda: api.find("work", "main"),
            lambda: api.get(1),
            lambda: api.update(new, "c", "d"),
            lambda: api.create(DRAFT),
            lambda: api.set_status(STATUS),
            lambda: api.add_labels(1, ["bot"]),
            lambda: api.add_reviewers(1, [reviewer]),
        ):
            forge.faults[:] = [Fault(".", Reply(200, body), count=9)]
            with suppress(RunError):
                call()


@pytest.mark.parametrize("depth", [5, 50, 500, 990, 5_000])
@pytest.mark.parametrize("pair", ["[]", '{"message":}'], ids=["list", "object"])
def test_a_deep_answer_is_no_error_without_a_name(depth: int, pair: str) -> None:
    deep = (pair[:-1] * depth + "1" + pair[-1] * depth).encode()
    with serve(GitHubStandIn) as (forge, api):
        for status in (200, 422, 403, 500):
            forge.faults.append(Fault("GET", Reply(status, deep, {"content-type": "application/json"})))
            with pytest.raises(RunError):
                api.find("work", "main")


def test_half_of_a_surrogate_pair_in_a_text_of_the_forge_is_sent_back_as_it_is() -> None:
    with serve(GitHubStandIn) as (forge, api):
        forge.add("by hand", "half: \ud83d", "work", "main")
        (request,) = api.find("work", "main")
        api.update(request, request.title, f"{request.body}!")
        assert forge.pull_requests[0].body == "half: \ud83d!"


def test_reviewers_that_a_person_asked_stay_on_gitlab() -> None:
    with serve(GitLabStandIn) as (forge, api):
        api.create(DRAFT)
        forge.pull_requests[0].reviewers = ["12"]
        assert api.add_reviewers(1, ["ada"]) == ""
        assert forge.pull_requests[0].reviewers == ["12", "11"]


@each_forge
@pytest.mark.parametrize("start", range(270, 300, 3))
def test_a_token_that_the_forge_echoes_is_in_no_error_and_no_refusal(kind: type[ForgeStandIn], start: int) -> None:
    token = "the-token-" + "".join(chr(97 + number % 26) for number in range(30))
    SECRETS.learn("the git token", token)
    reviewer = {"bitbucket": "{ada}", "azure": "0a1b2c3d-0000-4000-8000-00000000000a"}.get(kind.name, "ada")
    for message in ("x" * start + token, " " * start + f"x {token}"):
        with serve(kind) as (forge, api):
            api.create(DRAFT)
            forge.faults.append(Fault(".", Reply(422, {"message": message}), count=99))
            texts = [api.add_labels(1, ["bot"]), api.add_reviewers(1, [reviewer])]
            for call in (lambda: api.create(DRAFT), lambda: api.set_status(STATUS)):
                with pytest.raises(RunError) as error:
                    call()
                texts.append(str(error.value))
        assert not [text for text in texts if "the-token" in text or token[:4] in text.replace("the git token", "")]
