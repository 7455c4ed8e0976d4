"""The failed checks of a commit are named, with a link only if the page is on the repository's own server."""

import pytest

from flows.forges.reviews.conversation import FailedCheck
from tests.support.forges.azure import AzureStandIn
from tests.support.forges.fixtures import serve_reviews
from tests.support.forges.github import GitHubStandIn
from tests.support.forges.review_state import HEAD, StoredCheck
from tests.support.forges.stand_in import Fault, ForgeStandIn, Reply
from tests.support.forges.stand_ins import STAND_INS

each_forge = pytest.mark.parametrize("kind", STAND_INS, ids=[kind.name for kind in STAND_INS])


@each_forge
def test_failed_checks_are_named_from_all_pages(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        own = f"{forge.url}/ci/1"
        forge.reviews.checks += [
            StoredCheck("lint", "passed", own),
            StoredCheck("unit tests", "failed", own),
            StoredCheck("slow tests", "pending", own),
            StoredCheck("claude-code", "failed", own),
            StoredCheck("elsewhere", "failed", "https://ci.example/2?token=x"),
        ]
        result = api.failing_checks(HEAD)
        assert set(result.checks) == {FailedCheck("unit tests", own), FailedCheck("elsewhere", "")}
        assert result.omission == ""
        assert api.failing_checks("0" * 40).checks == ()


@pytest.mark.parametrize("kind", [STAND_INS[0], STAND_INS[2]], ids=lambda kind: kind.name)
def test_only_the_newest_status_of_a_name_counts(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        forge.reviews.checks += [
            StoredCheck("a", "failed"),
            StoredCheck("b", "passed"),
            StoredCheck("a", "passed"),
            StoredCheck("b", "failed"),
        ]
        assert [each.name for each in api.failing_checks(HEAD).checks] == ["b"]


def test_check_runs_of_github_are_read_too() -> None:
    with serve_reviews(GitHubStandIn) as (forge, api):
        names = ("build 1", "build 2", "build 3")
        forge.reviews.checks += [StoredCheck(name, "failed", f"{forge.url}/run", is_run=True) for name in names]
        forge.reviews.checks.append(StoredCheck("status", "failed"))
        result = api.failing_checks(HEAD)
        assert [each.name for each in result.checks] == ["status", *names]
        assert result.checks[1].url == f"{forge.url}/run"


def test_checks_that_the_token_may_not_read_are_said() -> None:
    with serve_reviews(GitHubStandIn) as (forge, api):
        forge.reviews.checks.append(StoredCheck("status", "failed"))
        forge.faults.append(Fault("check-runs", Reply(403, {"message": "Resource not accessible by integration"})))
        result = api.failing_checks(HEAD)
        assert [each.name for each in result.checks] == ["status"]
        assert "Resource not accessible by integration" in result.omission


def test_the_own_status_is_known_by_its_kind_on_azure() -> None:
    with serve_reviews(AzureStandIn) as (forge, api):
        status = {"context": {"name": "x", "genre": "claude-code-headless"}, "state": "failed"}
        forge.faults.append(Fault("statuses", Reply(200, {"value": [status]})))
        assert api.failing_checks(HEAD).checks == ()


ADDRESSES = (
    "//evil.example/x",
    "https://127.0.0.1@evil.example/",
    "http://x@{host}/y",
    "javascript:alert(1)",
    "http://127.0.0.1:99999/",
    "http://[",
    "{own}/a b",
    "{own}/)[x](y",
    "{own}/\u202e",
)


@each_forge
def test_an_address_that_is_not_the_repositorys_server_is_no_link(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        addresses = [address.format(own=forge.url, host=forge.url.removeprefix("http://")) for address in ADDRESSES]
        forge.reviews.checks += [StoredCheck(f"check {address}", "failed", address) for address in addresses]
        assert {each.url for each in api.failing_checks(HEAD).checks} == {""}
        assert len(api.failing_checks(HEAD).checks) == len(ADDRESSES)


@each_forge
def test_a_bound_on_checks_is_said(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind, max_items=3) as (forge, api):
        forge.reviews.checks += [StoredCheck(f"check {number}", "failed") for number in range(5)]
        result = api.failing_checks(HEAD)
        assert len(result.checks) == 3
        assert "only the first 3 checks were read" in result.omission
