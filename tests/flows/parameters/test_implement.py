"""The parameters of `implement`: the named errors of wrong values, and the meaning of empty ones."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flows import errors
from flows.parameters.addresses import S3Uri, check_branch_name
from flows.parameters.change_policy import ChangePolicy
from flows.parameters.implement import ImplementParameters, default_branch_name
from flows.parameters.pull_request import PullRequest

START = datetime(2026, 3, 1, 23, 30, 5, tzinfo=UTC)
ISSUE = "https://github.com/owner/tracker/issues/12"
GOOD: dict[str, Any] = {
    "repo_url": "https://github.com/owner/repo.git",
    "instructions_s3_uri": "",
    "instructions": "Say hello",
    "branch_name": "feature/x",
    "base_branch": "",
    "commit_message": "Greet",
    "clone_depth": 50,
    "git_credentials_secret_id": "claude-headless/git-credentials",
    "git_credentials_block": "",
    "aws_region": "us-east-1",
    "allow_default_branch": False,
    "policy": ChangePolicy(),
}


def test_good_parameters_become_checked_values() -> None:
    request = ImplementParameters(
        **{**GOOD, "instructions": "", "instructions_s3_uri": "s3://bucket/a/*", "base_branch": "main"}
    )
    assert request.repo_url.name == "repo"
    assert request.instructions_s3_uri == S3Uri("bucket", "a/", is_folder=True)
    assert (request.branch_name, request.base_branch) == ("feature/x", "main")


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"repo_url": ""}, errors.InvalidRepoUrl),
        ({"repo_url": "git@github.com:owner/repo.git"}, errors.InvalidRepoUrl),
        ({"instructions_s3_uri": "https://bucket/key"}, errors.InvalidS3Uri),
        ({"instructions": ""}, errors.InvalidInstructionsSource),
        ({"instructions": "https://github.com/acme/widgets/pull/12"}, errors.InvalidForgePage),
        ({"instructions": "https://github.com/acme/widgets"}, errors.InvalidForgePage),
        ({"instructions": "https://gitlab.com/acme/widgets/-/issues/12"}, errors.InvalidForgePage),
        ({"instructions": "http://github.com/acme/widgets/issues/12"}, errors.InvalidForgePage),
        ({"instructions": ISSUE, "repo_url": "https://git.example.com/acme/widgets"}, errors.InvalidForgePage),
        ({"instructions": ISSUE, "forge": "none"}, errors.InvalidForgePage),
        ({"instructions": ISSUE, "forge_api_url": "http://evil.example"}, errors.InvalidForgeApiUrl),
        ({"instructions": ISSUE, "instructions_s3_uri": "s3://bucket/main.md"}, errors.InvalidInstructionsSource),
        ({"reviewers_heard": ("",)}, errors.InvalidReviewersHeard),
        ({"instructions": " \n\t"}, errors.InvalidInstructionsSource),
        ({"instructions_s3_uri": "s3://bucket/main.md"}, errors.InvalidInstructionsSource),
        ({"branch_name": ""}, errors.InvalidBranchName),
        ({"branch_name": "a..b"}, errors.InvalidBranchName),
        ({"base_branch": "refs/heads/main"}, errors.InvalidBranchName),
        ({"commit_message": ""}, errors.InvalidCommitMessage),
        ({"commit_message": " \n"}, errors.InvalidCommitMessage),
        ({"commit_message": "a\0b"}, errors.InvalidCommitMessage),
        ({"clone_depth": -1}, errors.InvalidLimits),
        ({"git_credentials_secret_id": ""}, errors.InvalidSecretId),
        ({"git_credentials_secret_id": "two words"}, errors.InvalidSecretId),
        ({"git_credentials_secret_id": "x" * 513}, errors.InvalidSecretId),
        ({"git_credentials_secret_id": "name\n"}, errors.InvalidSecretId),
        ({"aws_region": ""}, errors.InvalidRegion),
        ({"aws_region": "us-east"}, errors.InvalidRegion),
        ({"aws_region": "us-east-1\n"}, errors.InvalidRegion),
        ({"aws_region": "example.com/us-east-1"}, errors.InvalidRegion),
    ],
)
def test_a_wrong_parameter_raises_its_named_error(wrong: dict[str, Any], error: type[errors.RunError]) -> None:
    ImplementParameters(**GOOD)  # shows that the wrong value is the only reason for the error
    with pytest.raises(error) as caught:
        ImplementParameters(**{**GOOD, **wrong})
    assert len(str(caught.value)) > 20


def test_the_error_of_a_base_branch_names_that_parameter() -> None:
    with pytest.raises(errors.InvalidBranchName, match=r"^base_branch '-x'"):
        ImplementParameters(**{**GOOD, "base_branch": "-x"})


@pytest.mark.parametrize("depth", [0, 1, 10_000])
def test_a_clone_depth_may_be_zero_for_the_whole_history(depth: int) -> None:
    assert ImplementParameters(**{**GOOD, "clone_depth": depth}).clone_depth == depth


@pytest.mark.parametrize("region", ["eu-west-2", "us-gov-west-1", "ap-southeast-4", "us-iso-east-1"])
def test_regions_of_every_partition_are_accepted(region: str) -> None:
    assert ImplementParameters(**{**GOOD, "aws_region": region}).aws_region == region


@pytest.mark.parametrize(
    "secret", ["name", "a/b_c+d=e.f@g-h", "arn:aws:secretsmanager:us-east-1:123456789012:secret:claude/git-AbCdEf"]
)
def test_a_secret_may_be_given_by_name_or_arn(secret: str) -> None:
    assert ImplementParameters(**{**GOOD, "git_credentials_secret_id": secret}).git_credentials_secret_id == secret


def test_only_the_white_space_around_a_commit_message_is_removed() -> None:
    assert (
        ImplementParameters(**{**GOOD, "commit_message": "\n Greet\n\nAt  length.\n"}).commit_message
        == "Greet\n\nAt  length."
    )


def test_the_next_run_has_the_parameters_without_which_it_would_fail_or_do_something_else() -> None:
    kept: dict[str, Any] = {
        "base_branch": "develop",
        "provider": "anthropic",
        "limits": {"max_budget_usd": 5.0},
        "git_credentials_block": "mine",
        "verification": {"verify_commands": "make test"},
        "pull_request": {"pull_request": "draft", "pull_request_base": "develop"},
        "forge": "gitlab",
        "forge_api_url": "https://git.example.com/gitlab/api/v4",
        "policy": {"allow_ci_changes": True},
    }
    of_this_run = {"pull_request_title": "One", "pull_request_labels": ["bot"], "reviewers": ["ada"]}
    request = ImplementParameters(
        repo_url="https://git.example.com/gitlab/o/r.git",
        instructions="Say hello.",
        branch_name="work",
        commit_message="Say hello",
        reviewers_heard=("11",),
        **{**kept, "pull_request": kept["pull_request"] | of_this_run},
    )
    assert request.for_next_run() == kept
    assert json.loads(json.dumps(request.for_next_run())) == kept
    only_a_title = request.model_copy(update={"pull_request": PullRequest(pull_request_title="One")})
    assert "pull_request" not in only_a_title.for_next_run()


def test_only_an_address_alone_is_an_issue() -> None:
    of_issue = ImplementParameters(**{**GOOD, "instructions": f" {ISSUE}#issuecomment-1\n"})
    assert of_issue.issue
    assert of_issue.issue.number == 12
    for text in ("Say hello", f"Do what {ISSUE} asks for", f"{ISSUE}\n\nIn French."):
        assert ImplementParameters(**{**GOOD, "instructions": text}).issue is None


def test_the_address_of_an_issue_as_one_in_s3_is_an_error_that_says_where_it_belongs() -> None:
    with pytest.raises(errors.InvalidS3Uri, match="the address of an issue is given in instructions"):
        ImplementParameters(**{**GOOD, "instructions": "", "instructions_s3_uri": ISSUE})


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(ValidationError):
        ImplementParameters(**{**GOOD, "depth": 1})


@given(st.datetimes(timezones=st.timezones()), st.uuids())
def test_a_default_branch_name_is_valid_and_the_same_for_the_same_run(start: datetime, run: object) -> None:
    name = default_branch_name(start, str(run))
    assert check_branch_name(name) == name == default_branch_name(start, str(run))
    assert name.startswith("feature/claude-implementation-")


def test_a_default_branch_name_contains_the_scheduled_start_in_utc() -> None:
    local_start = START.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert "-20260301-233005-" in default_branch_name(START, "0123456789")
    assert default_branch_name(local_start, "0123456789") == default_branch_name(START, "0123456789")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3f2504e0-4f89-41d3-9a0c-0305e82c3301", "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d"),
        # Prefect's flow run ids are UUIDs of version 7, whose first 48 bits are the time. These two were made in a row.
        ("01a209bf-c200-70d0-8c32-6634ec7187d3", "01a209bf-c200-75c3-ae55-c1709b8d52eb"),
    ],
)
def test_two_runs_that_start_in_the_same_second_have_different_default_branches(one: str, other: str) -> None:
    assert default_branch_name(START, one) != default_branch_name(START, other)
