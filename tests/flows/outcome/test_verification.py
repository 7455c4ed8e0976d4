"""What a verification means for a run: its outcome, its result for programs, and the message of a failure."""

import json
import pickle
from dataclasses import replace

import pytest

from flows.errors import VerificationFailed
from flows.outcome.result import Outcome, RunResult
from flows.outcome.verification import VerificationResult, failure_message, tag
from flows.verification.results import CommandResult, Status, TestCounts, Verdict, Verification

FAILURE = CommandResult("npm test", Verdict.FAILED, 1, 2.55, "first\nlast", TestCounts(3, 1, 2, ("a",)))
FAILED = Verification("1" * 40, (FAILURE,), changed_checks=("Makefile",), failures=(FAILURE,))


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
    error.result = RunResult(Outcome.FAILED, verification=VerificationResult.of(Status.FAILED, FAILED, 2))
    restored = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert restored.result == error.result
    assert json.loads(json.dumps(restored.result.as_json()))["verification"] == {
        "status": "verification failed",
        "repairs": 2,
        "commands": [
            {
                "command": "npm test",
                "verdict": "failed",
                "exit_status": 1,
                "seconds": 2.5,
                "tests": 3,
                "tests_failed": 1,
                "tests_skipped": 2,
            }
        ],
        "changed_checks": ["Makefile"],
        "setup_fault": "",
    }


def test_the_message_names_the_commands_and_ends_with_the_output() -> None:
    text = failure_message(FAILED, 2, "", "It is saved")
    assert text.startswith(
        "the change does not pass its verification after 2 repairs: 'npm test' failed (exit status 1)"
    )
    assert text.endswith(". It is saved\nThe last lines of the output:\nfirst\nlast")


def test_the_message_says_why_a_repair_was_ended_or_that_the_setup_failed() -> None:
    text = failure_message(FAILED, 1, "raise limits.max_turns", "It is saved")
    assert "after 1 repair: 'npm test'" in text
    assert ". A repair was ended: raise limits.max_turns. It is saved" in text
    text = failure_message(Verification("1" * 40, setup_fault="no such package"), 0, "", "It is saved")
    assert text == (
        "the change does not pass its verification: its setup failed. It is saved\n"
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
