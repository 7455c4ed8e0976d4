"""A run's parameters: the error of each that is wrong, what an empty one means, and how options lie over a block's."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from flows import errors
from flows.parameters.addresses import S3Uri, check_branch_name
from flows.parameters.provider import Provider
from flows.parameters.request import ChangePolicy, ClaudeCodeOptions, Limits, Request, default_branch_name

START = datetime(2026, 3, 1, 23, 30, 5, tzinfo=UTC)
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
    request = Request(**{**GOOD, "instructions": "", "instructions_s3_uri": "s3://bucket/a/*", "base_branch": "main"})
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
    Request(**GOOD)  # so that the one wrong value is why
    with pytest.raises(error) as caught:
        Request(**{**GOOD, **wrong})
    assert len(str(caught.value)) > 20


def test_the_error_of_a_base_branch_names_that_parameter() -> None:
    with pytest.raises(errors.InvalidBranchName, match=r"^base_branch '-x'"):
        Request(**{**GOOD, "base_branch": "-x"})


@pytest.mark.parametrize("depth", [0, 1, 10_000])
def test_a_clone_depth_may_be_zero_for_the_whole_history(depth: int) -> None:
    assert Request(**{**GOOD, "clone_depth": depth}).clone_depth == depth


@pytest.mark.parametrize("region", ["eu-west-2", "us-gov-west-1", "ap-southeast-4", "us-iso-east-1"])
def test_regions_of_every_partition_are_taken(region: str) -> None:
    assert Request(**{**GOOD, "aws_region": region}).aws_region == region


@pytest.mark.parametrize(
    "secret", ["name", "a/b_c+d=e.f@g-h", "arn:aws:secretsmanager:us-east-1:123456789012:secret:claude/git-AbCdEf"]
)
def test_a_secret_is_named_by_name_or_arn(secret: str) -> None:
    assert Request(**{**GOOD, "git_credentials_secret_id": secret}).git_credentials_secret_id == secret


def test_a_commit_message_loses_the_white_space_around_it_only() -> None:
    assert Request(**{**GOOD, "commit_message": "\n Greet\n\nAt  length.\n"}).commit_message == "Greet\n\nAt  length."


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(ValidationError):
        Request(**{**GOOD, "depth": 1})


@settings(deadline=None)
@given(st.datetimes(timezones=st.timezones()), st.uuids())
def test_a_default_branch_is_a_branch_and_the_same_for_the_same_run(start: datetime, run: object) -> None:
    name = default_branch_name(start, str(run))
    assert check_branch_name(name) == name == default_branch_name(start, str(run))
    assert name.startswith("feature/claude-implementation-")


def test_a_default_branch_says_the_scheduled_start_in_utc() -> None:
    there = START.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert "-20260301-233005-" in default_branch_name(START, "0123456789")
    assert default_branch_name(there, "0123456789") == default_branch_name(START, "0123456789")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3f2504e0-4f89-41d3-9a0c-0305e82c3301", "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d"),
        # Prefect's flow run ids are UUIDs of version 7, whose first 48 bits are the time: these two it made in a row.
        ("01a209bf-c200-70d0-8c32-6634ec7187d3", "01a209bf-c200-75c3-ae55-c1709b8d52eb"),
    ],
)
def test_two_runs_of_the_same_second_have_different_default_branches(one: str, other: str) -> None:
    assert default_branch_name(START, one) != default_branch_name(START, other)


@pytest.mark.parametrize(
    ("provider", "given_id", "model"),
    [
        ("bedrock", "", "us.anthropic.claude-sonnet-5-5"),
        ("anthropic", "", "claude-sonnet-5-5"),
        ("bedrock", "eu.anthropic.claude-opus-5-5-v1:0", "eu.anthropic.claude-opus-5-5-v1:0"),
        ("anthropic", "claude-opus-5-5[1m]", "claude-opus-5-5[1m]"),
        ("bedrock", "arn:aws:bedrock:us-east-1:123456789012:inference-profile/x", None),
    ],
)
def test_the_model_is_the_given_one_or_the_providers_default(
    provider: Provider, given_id: str, model: str | None
) -> None:
    assert ClaudeCodeOptions(provider=provider, claude_model_id=given_id).model_id == (model or given_id)


@pytest.mark.parametrize("model", ["-x", "--help", "a b", "a\n", "a;b", "$(x)", " ", "é", "a" * 2049])
def test_a_wrong_model_id_raises_its_named_error(model: str) -> None:
    with pytest.raises(errors.InvalidModelId, match="claude_model_id"):
        ClaudeCodeOptions(claude_model_id=model)


def test_an_unknown_provider_is_refused() -> None:
    with pytest.raises(ValidationError):
        ClaudeCodeOptions(provider="azure")


BLOCK = ClaudeCodeOptions(
    provider="anthropic",
    claude_model_id="block-model",
    aws_region="eu-west-1",
    claude_settings={"language": "de"},
    disable_prompt_cache=True,
    limits=Limits(max_turns=7, max_budget_usd=1.5, agent_timeout_seconds=60, stall_timeout_seconds=30),
)


def test_options_at_their_defaults_leave_the_blocks() -> None:
    assert ClaudeCodeOptions().over(BLOCK) == BLOCK


@pytest.mark.parametrize(
    "own",
    [
        {"claude_model_id": "own-model"},
        {"aws_region": "us-west-2"},
        {"claude_settings": {"permissions": {"deny": ["WebFetch"]}}},
        {"claude_model_id": "own-model", "aws_region": "us-west-2"},
    ],
)
def test_an_option_that_differs_from_its_default_wins_over_the_blocks_and_no_other_does(own: dict[str, Any]) -> None:
    assert ClaudeCodeOptions(**own).over(BLOCK).model_dump() == {**BLOCK.model_dump(), **own}


def test_an_option_wins_over_a_block_at_its_defaults() -> None:
    assert BLOCK.over(ClaudeCodeOptions()) == BLOCK


@pytest.mark.parametrize(
    ("own", "merged"),
    [
        (Limits(), Limits(max_turns=7, max_budget_usd=1.5, agent_timeout_seconds=60, stall_timeout_seconds=30)),
        (Limits(max_turns=9), BLOCK.limits.model_copy(update={"max_turns": 9})),
        (Limits(max_budget_usd=0), BLOCK.limits.model_copy(update={"max_budget_usd": 0.0})),
        (Limits(agent_timeout_seconds=1), BLOCK.limits.model_copy(update={"agent_timeout_seconds": 1})),
    ],
)  # fmt: skip
def test_limits_lie_over_the_blocks_one_by_one(own: Limits, merged: Limits) -> None:
    assert ClaudeCodeOptions(limits=own).over(BLOCK).limits == merged


def test_options_over_a_block_change_neither() -> None:
    own, block = ClaudeCodeOptions(claude_model_id="own-model"), BLOCK.model_copy(deep=True)
    own.over(block)
    assert block == BLOCK
    assert own == ClaudeCodeOptions(claude_model_id="own-model")


@pytest.mark.parametrize("name", sorted(Limits.model_fields))
@pytest.mark.parametrize("value", [-1, float("nan"), "many", None])
def test_a_limit_is_a_number_from_zero(name: str, value: object) -> None:
    assert getattr(Limits.model_validate({name: 0}), name) == 0
    with pytest.raises(ValidationError, match=name):
        Limits.model_validate({name: value})


def test_an_unknown_limit_is_refused() -> None:
    with pytest.raises(ValidationError, match="max_tokens"):
        Limits.model_validate({"max_tokens": 1})
