"""The ARNs that a model id stands for."""

import boto3
import pytest

from deployments.aws import infrastructure
from deployments.aws.account import Account
from deployments.aws.bedrock import model_parameters
from deployments.aws.commands import access_of
from deployments.cli.errors import UnknownModel
from flows.parameters.claude_code import ClaudeCodeOptions

ACCOUNT = Account(boto3.Session(region_name="us-east-1"), "claude-code-headless", "aws", "123456789012", "us-east-1")


@pytest.mark.parametrize(
    ("model", "profile", "behind", "direct"),
    [
        (
            "eu.anthropic.claude-x-v1:0",
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.anthropic.claude-x-v1:0",
            "arn:aws:bedrock:eu-*::foundation-model/anthropic.claude-x-v1:0",
            "",
        ),
        ("anthropic.claude-x-v1:0", "", "", "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-x-v1:0"),
        (
            "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123",
            "",
            "",
            "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123",
        ),
    ],
)
def test_a_profile_allows_its_model_in_its_geography(model: str, profile: str, behind: str, direct: str) -> None:
    expected = {"InferenceProfileArns": profile, "ProfileModelArns": behind, "ModelArns": direct}
    assert model_parameters(ACCOUNT, [model]) == expected


def test_the_long_context_is_the_same_model() -> None:
    assert model_parameters(ACCOUNT, ["us.anthropic.x[1m]"]) == model_parameters(ACCOUNT, ["us.anthropic.x"])


@pytest.mark.parametrize(
    ("region", "profile"),
    [("us-west-2", "us"), ("eu-central-1", "eu"), ("ap-southeast-2", "au"), ("ap-south-1", "global")],
)
def test_roles_allow_the_default_model_of_their_region(region: str, profile: str) -> None:
    account = Account(boto3.Session(region_name=region), "claude-code-headless", "aws", "123456789012", region)
    model = f"{profile}.anthropic.claude-sonnet-5-5"
    allowed = f"arn:aws:bedrock:{region}:123456789012:inference-profile/{model}"
    assert ClaudeCodeOptions(aws_region=region).model_id == model
    assert infrastructure.roles(account, access_of("", None, "", "")).parameters["InferenceProfileArns"] == allowed


@pytest.mark.parametrize(
    ("region", "example"),
    [
        ("us-east-1", "us."),
        ("eu-west-3", "eu."),
        ("ap-southeast-2", "au."),
        ("us-gov-west-1", "us-gov."),
        ("sa-east-1", "global."),
    ],
)
def test_an_unknown_model_is_refused_with_an_id_of_the_region(region: str, example: str) -> None:
    account = Account(boto3.Session(region_name=region), "claude-code-headless", "aws", "123456789012", region)
    with pytest.raises(UnknownModel, match=rf"\(example in {region}: {example}anthropic.claude-sonnet-5-5\)"):
        model_parameters(account, ["sonnet"])
