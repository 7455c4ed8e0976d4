"""The parameters of a run that is continued or repeated are those of its own flow."""

import pytest

from deployments.cli.errors import InvalidParameter
from deployments.prefect.run_parameters import FOLLOW_UP, apply_settings, instructions_parameter

RUN = {"flow_run_id": "01a209bf-c200-70d0-8c32-6634ec7187d3"}


def test_a_follow_up_has_its_own_parameters() -> None:
    settings = ["limits.max_budget_usd=3", 'reviewers_heard=["11"]', "instructions=1234"]
    assert apply_settings(RUN, settings, FOLLOW_UP) == {
        **RUN,
        "limits": {"max_budget_usd": 3},
        "reviewers_heard": ["11"],
        "instructions": "1234",
    }


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("repo_url=https://github.com/o/r", "the flow has no parameter 'repo_url'"),
        ("pull_request_url=https://github.com/o/r/pull/1", "InvalidFollowUp: .* set one of them"),
        ("reviewers_heard=ada", "it is a list"),
        ("limits=3", "it is a group"),
    ],
)
def test_what_the_flow_would_refuse_is_refused(setting: str, message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        apply_settings(RUN, [setting], FOLLOW_UP)


@pytest.mark.parametrize(
    ("address", "parameter"),
    [
        ("s3://bucket/main.md", "instructions_s3_uri"),
        ("https://bucket.s3.eu-central-1.amazonaws.com/main.md", "instructions_s3_uri"),
        ("main.md", "instructions_s3_uri"),
        ("https://github.com/o/r/issues/12", "instructions"),
    ],
)
def test_the_address_of_an_issue_is_told_from_one_in_s3(address: str, parameter: str) -> None:
    assert instructions_parameter(address) == {parameter: address}
    assert instructions_parameter("") == {}
