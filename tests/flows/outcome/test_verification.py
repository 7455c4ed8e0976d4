"""What a verification means for a run: its outcome, its result for programs, and the message of a failure."""

import json
import pickle
from dataclasses import replace

import pytest

from flows.errors import VerificationFailed
from flows.outcome.result import Failure, Outcome, RunResult, last_words
from flows.outcome.verification import VerificationResult, failure_message, result_text, review_first, tag
from flows.state.verifications import Round
from flows.verification.results import CommandResult, Status, TestCounts, Verdict, Verification

FAILURE = CommandResult("npm test", Verdict.FAILED, 1, 2.55, "first\nlast", TestCounts(3, 1, 2, ("a",)))
FAILED = Verification("1" * 40, (FAILURE,), baseline=(FAILURE,), changed_checks=("Makefile",), failures=(FAILURE,))
ROUNDS = (
    Round(0, (), "c" * 40, FAILED, 4.5, spent_usd=0.0101),
    Round(1, (), "c" * 40, FAILED, 4.5, spent_usd=0.0304),
    Round(1, (), "c" * 40, FAILED, 4.5, is_delivery=True),
)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (None, Outcome.DELIVERED),
        (Status.NOT_ASKED, Outcome.DELIVERED),
        (Status.VERIFIED, Outcome.DELIVERED),
        (Status.CHECKS_CHANGED, Outcome.DELIVERED),
        (Status.NOT_RUN, Outcome.NOT_VERIFIED),
        (Status.FAILED_BEFORE, Outcome.NOT_VERIFIED),
        (Status.FAILED, Outcome.NOT_VERIFIED),
    ],
)
def test_a_pushed_change_is_delivered_or_not_verified(status: Status | None, outcome: Outcome) -> None:
    assert Outcome.of_commit("c" * 40, status) is outcome
    assert (outcome.exit_status, outcome.is_delivered) == (0, True)
    assert Outcome.of_commit("", status) is Outcome.NO_CHANGES


def test_not_verified_has_names_of_its_own() -> None:
    outcome = Outcome.NOT_VERIFIED
    assert (outcome.state_name, outcome.tag, outcome.event) == (
        "NotVerified",
        "outcome:not-verified",
        "claude-code.run.not-verified",
    )
    assert Outcome.of_error(VerificationFailed("x")).exit_status == 1


def test_each_status_has_a_tag_of_its_own() -> None:
    tags = {tag(status) for status in Status}
    assert len(tags) == len(Status)
    assert tags >= {"verified:yes", "verified:failed", "verified:not-run"}
    assert tag(Status.NOT_ASKED) == ""


def test_the_result_is_json_and_survives_with_its_error() -> None:
    error = VerificationFailed("it failed")
    error.result = RunResult(
        Outcome.FAILED, verification=VerificationResult.of(Status.FAILED, FAILED, 2, ROUNDS, "the file")
    )
    restored = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert restored.result == error.result
    command = {
        "command": "npm test",
        "verdict": "failed",
        "exit_status": 1,
        "seconds": 2.5,
        "tests": 3,
        "tests_failed": 1,
        "tests_skipped": 2,
    }
    each = {"status": "verification failed", "seconds": 4.5, "commands": [command], "is_delivery": False}
    assert json.loads(json.dumps(restored.result.as_json()))["verification"] == {
        "status": "verification failed",
        "repairs": 2,
        "source": "the file",
        "commands": [command],
        "changed_checks": ["Makefile"],
        "setup_fault": "",
        "baseline": [command],
        "rounds": [
            {**each, "repairs": 0, "cost_usd": 0.0101},
            {**each, "repairs": 1, "cost_usd": 0.0203},
            {**each, "repairs": 1, "cost_usd": None, "is_delivery": True},
        ],
    }


@pytest.mark.parametrize(
    ("status", "repairs", "text"),
    [
        (Status.VERIFIED, 0, "verified"),
        (Status.VERIFIED, 1, "verified after 1 repair"),
        (Status.CHECKS_CHANGED, 2, "verified after 2 repairs, checks changed"),
        (Status.FAILED_BEFORE, 1, "not verified after 1 repair: a command fails, as it did before the change"),
        (Status.NOT_RUN, 1, "not verified: the commands did not run on this commit"),
        (Status.FAILED, 2, "verification failed after 2 repairs"),
        (Status.NOT_ASKED, 0, "not verified"),
    ],
)
def test_people_read_the_result_and_the_repairs(status: Status, repairs: int, text: str) -> None:
    assert result_text(status, repairs) == text


def test_what_changed_of_the_checks_is_named() -> None:
    assert review_first(["tests/a.py: removed"]).endswith("Review this first: tests/a.py: removed")
    assert review_first([f"{number}" for number in range(9)]).endswith(": 0; 1; 2; 3; 4; and 4 more")


def test_the_last_line_has_the_errors_name_and_not_the_output() -> None:
    message = failure_message(FAILED, 0, "", "It is saved")
    lines = last_words(Failure("VerificationFailed", message)).splitlines()
    assert lines[:-1] == ["The last lines of the output:", "first", "last"]
    assert lines[-1].startswith("VerificationFailed: the change does not pass")
    assert last_words(Failure("ServiceFailed", "a\nb")) == "ServiceFailed: a\nb"
    assert last_words(Failure("InvalidVariable", "a\nb")) == "InvalidVariable: a\nb"
    assert VerificationFailed(message).sentences == lines[-1].removeprefix("VerificationFailed: ")


def test_the_message_names_the_commands_and_ends_with_the_output() -> None:
    text = failure_message(FAILED, 2, "", "It is saved")
    assert text.startswith(
        "the change does not pass its verification after 2 repairs: 'npm test' failed (exit status 1)"
    )
    assert text.endswith(". It is saved.\nThe last lines of the output:\nfirst\nlast")


def test_the_message_says_why_a_repair_was_ended_or_that_the_setup_failed() -> None:
    text = failure_message(FAILED, 1, "raise limits.max_turns", "It is saved")
    assert "after 1 repair: 'npm test'" in text
    assert ". A repair was ended: raise limits.max_turns. It is saved" in text
    text = failure_message(Verification("1" * 40, setup_fault="no such package"), 0, "", "It is saved")
    assert text == (
        "the change does not pass its verification: its setup failed. It is saved.\n"
        "The last lines of the output:\nno such package"
    )


def test_the_message_names_the_limit_and_the_failed_tests_of_a_script_that_hides_them() -> None:
    slow = CommandResult("sleep 9", Verdict.TIMED_OUT, None, 4.02)
    hidden = replace(FAILED.failures[0], exit_status=0)
    text = failure_message(Verification("1" * 40, failures=(slow, hidden)), 0, "", "Saved")
    assert "'sleep 9' timed out after 4 s (limits.command_timeout_seconds), " in text
    assert "'npm test' failed (exit status 0, but its JUnit files have 1 failed test)" in text


def test_of_many_failures_the_first_are_named() -> None:
    failures = tuple(CommandResult(f"check {number}", Verdict.NOT_FOUND, 127, 1) for number in range(9))
    text = failure_message(Verification("1" * 40, failures, failures=failures), 0, "", "Saved")
    assert "'check 4' not found (exit status 127), and 4 more. Saved" in text
    assert "check 5" not in text
