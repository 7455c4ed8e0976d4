"""The ARNs behind model ids."""

import boto3
import pytest

from deployments.aws.account import Account
from deployments.aws.bedrock import model_parameters

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
def test_a_profile_opens_its_model_in_its_geography(model: str, profile: str, behind: str, direct: str) -> None:
    expected = {"InferenceProfileArns": profile, "ProfileModelArns": behind, "ModelArns": direct}
    assert model_parameters(ACCOUNT, [model]) == expected


def test_the_long_context_is_the_same_model() -> None:
    assert model_parameters(ACCOUNT, ["us.anthropic.x[1m]"]) == model_parameters(ACCOUNT, ["us.anthropic.x"])
