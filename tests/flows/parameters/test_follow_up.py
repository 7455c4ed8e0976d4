"""The parameters of a follow-up: which work it continues, and what it takes from the run that did it."""

import pytest

from flows.errors import InvalidFollowUp, InvalidReviewersHeard
from flows.parameters.follow_up import DEFAULT_COMMIT_MESSAGE, FollowUpParameters
from flows.parameters.implement import ImplementParameters
from flows.parameters.verification import Verification
from flows.redaction import REDACTED

RUN = "01a209bf-c200-70d0-8c32-6634ec7187d3"
SAVED = {
    "repo_url": "https://github.com/o/r",
    "branch_name": "",
    "instructions_s3_uri": "s3://bucket/main.md",
    "commit_message": "Add it",
    "limits": {"max_turns": 7, "max_budget_usd": 3},
    "git_credentials_block": "ours",
    "pull_request": {"pull_request": "draft", "reviewers": ["ada"]},
    "verification": {"verify_commands": "make test"},
    "of_another_version": True,
}


def over(parameters: FollowUpParameters, saved: dict[str, object], *, has_number: bool = True) -> ImplementParameters:
    return ImplementParameters(**parameters.over(saved, "https://github.com/o/r", "work", has_number=has_number))


@pytest.mark.parametrize(
    "parameters",
    [{}, {"pull_request_url": "https://github.com/o/r/pull/1", "flow_run_id": RUN}, {"pull_request_url": " "}],
    ids=["neither", "both", "blank"],
)
def test_it_continues_one_piece_of_work(parameters: dict[str, str]) -> None:
    with pytest.raises(InvalidFollowUp, match="set one of them"):
        FollowUpParameters(**parameters)


@pytest.mark.parametrize(
    "flow_run_id", ["../../x", RUN.upper(), " ", f"{RUN}\n"], ids=["path", "upper", "blank", "line"]
)
def test_an_id_that_no_run_has_is_refused(flow_run_id: str) -> None:
    with pytest.raises(InvalidFollowUp, match="is no id of a flow run"):
        FollowUpParameters(flow_run_id=flow_run_id)


@pytest.mark.parametrize("ids", [[""], ["x" * 201], [str(number) for number in range(51)]], ids=["empty", "long", "51"])
def test_ids_that_no_account_has_are_refused(ids: list[str]) -> None:
    with pytest.raises(InvalidReviewersHeard, match="reviewers_heard"):
        FollowUpParameters(flow_run_id=RUN, reviewers_heard=tuple(ids))


def test_what_is_at_its_default_is_as_in_the_run_that_is_continued() -> None:
    request = over(FollowUpParameters(flow_run_id=RUN, instructions="Be polite."), SAVED)
    assert (request.limits.max_turns, request.limits.max_budget_usd) == (7, 3)
    assert (request.git_credentials_block, request.branch_name) == ("ours", "work")
    assert request.commit_message == DEFAULT_COMMIT_MESSAGE
    assert request.pull_request.pull_request == "draft"
    assert request.verification.verify_commands == "make test"
    assert request.instructions_s3_uri is not None
    assert request.instructions == "", "what this run adds is no part of the requirements"


def test_what_differs_from_its_default_replaces_it_field_by_field() -> None:
    parameters = FollowUpParameters(
        flow_run_id=RUN,
        limits={"max_turns": 9},
        verification=Verification(max_repairs=0),
        git_credentials_block="another",
        commit_message="As asked",
    )
    request = over(parameters, SAVED)
    assert (request.limits.max_turns, request.limits.max_budget_usd) == (9, 3)
    assert (request.verification.verify_commands, request.verification.max_repairs) == ("make test", 0)
    assert (request.git_credentials_block, request.commit_message) == ("another", "As asked")


@pytest.mark.parametrize(("has_number", "kind"), [(True, "ready"), (False, "never")])
def test_a_pull_request_that_exists_is_brought_up_to_date(has_number: bool, kind: str) -> None:
    saved: dict[str, object] = {"instructions": "x"}
    request = over(FollowUpParameters(flow_run_id=RUN), saved, has_number=has_number)
    assert request.pull_request.pull_request == kind


def test_a_value_that_was_not_saved_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAUDE_SETTINGS_ALLOWED_KEYS", "env")
    settings = {"permissions": {"allow": ["Bash(*)"]}, "env": {"SECRET": REDACTED, "MODE": "test"}}
    request = over(FollowUpParameters(flow_run_id=RUN), {"instructions": "x", "claude_settings": settings})
    assert request.claude_settings["env"] == {"MODE": "test"}
    request = over(
        FollowUpParameters(flow_run_id=RUN), {"instructions": "x", "claude_settings": {"env": {"A": REDACTED}}}
    )
    assert "env" not in request.claude_settings
