"""The section of a report about the verification, and the advice after one that failed."""

import dataclasses

import pytest

from flows import errors
from flows.outcome.summary import RunSummary, headline
from flows.reporting.next_steps import advice
from flows.reporting.report import render_report
from flows.reporting.verification import verification_section
from flows.state.verifications import Round, Verifications
from flows.verification.results import CommandResult, Status, TestCounts, Verdict, Verification
from tests.flows.reporting.test_report import DELIVERED, STOPPED

FAILURE = CommandResult("npm test", Verdict.FAILED, 1, 2.5, "first\nlast", TestCounts(9, 2, 1, ("a", "b")))
BEFORE = dataclasses.replace(FAILURE, tests=TestCounts(9, 1, 0, ("a",)))
PASSED = CommandResult("npm run lint", Verdict.PASSED, 0, 0.25)
FAILED = Verification(
    "1" * 40, (FAILURE, PASSED), baseline=(BEFORE, PASSED), changed_checks=("test/a.js: removed",), failures=(FAILURE,)
)
GOOD = Verification("2" * 40, (PASSED,))
CONTINUE = "runs continue 01a209bf-c200-70d0-8c32-6634ec7187d3 --set "


def summary_of(base: RunSummary, *rounds: Verification, status: Status | None = None) -> RunSummary:
    numbered = tuple(Round(number, (), "c" * 40, each) for number, each in enumerate(rounds))
    last = rounds[-1] if rounds else None
    return dataclasses.replace(
        base, rounds=numbered, verification=last, status=status or (last.status if last else None)
    )


def failed(message: str = "it failed", **fields: object) -> RunSummary:
    summary = summary_of(STOPPED, FAILED)
    return dataclasses.replace(summary, error=errors.VerificationFailed(message), **fields)  # type: ignore[arg-type]


def test_each_round_and_command_is_a_row() -> None:
    text = verification_section(summary_of(DELIVERED, FAILED, Verification("3" * 40, setup_fault="broken"), GOOD))
    assert "| first | `npm test` | ✗ failed, exit status 1 | 2.5 | 9, 2 failed, 1 skipped |" in text
    assert "| first | `npm run lint` | ✓ passed | 0.2 |  |" in text
    assert "| repair 1 |  | ✗ setup failed |  |  |" in text
    assert "| repair 2 | `npm run lint` | ✓ passed |" in text
    assert "first\nlast" not in text


def test_the_verification_of_a_delivery_is_a_row_of_its_own() -> None:
    again = Round(0, (), "c" * 40, GOOD, is_delivery=True)
    summary = summary_of(DELIVERED, FAILED)
    rounds = Verifications(summary.rounds).with_delivery(again).rounds
    text = verification_section(dataclasses.replace(summary, rounds=rounds, verification=GOOD))
    assert "| first | `npm test` | ✗ failed, exit status 1 |" in text
    assert "| delivery | `npm run lint` | ✓ passed |" in text


def test_many_commands_leave_room_for_the_last_round() -> None:
    many = Verification("1" * 40, tuple(dataclasses.replace(PASSED, command=f"check {number}") for number in range(60)))
    text = verification_section(summary_of(DELIVERED, many, many))
    assert "The first 20 results are left out." in text
    assert "| repair 1 | `check 59` |" in text
    assert "| first | `check 19` |" not in text


def test_a_failure_has_its_output_its_baseline_and_the_changed_checks() -> None:
    text = verification_section(summary_of(DELIVERED, FAILED))
    assert "- `npm test: failed (a)`" in text
    assert "- `test/a.js: removed`" in text
    assert "The end of the output of `npm test`:\n\n````\nfirst\nlast\n````" in text


@pytest.mark.parametrize(
    ("status", "rounds", "row", "clause"),
    [
        (Status.NOT_ASKED, (), "not verified (there are no verify commands)", ""),
        (Status.VERIFIED, (FAILED, GOOD), "verified after 1 repair", ", verified after 1 repair"),
        (
            Status.NOT_RUN,
            (GOOD,),
            "not verified: the commands did not run on this commit",
            ", not verified: the commands did not run on this commit",
        ),
    ],
    ids=["not asked", "repaired", "not run"],
)
def test_the_result_is_a_row_of_the_report_and_a_clause_of_the_state(
    status: Status, rounds: tuple[Verification, ...], row: str, clause: str
) -> None:
    summary = summary_of(DELIVERED, *rounds, status=status)
    assert f"| Verification | {row} |" in render_report(summary)
    assert headline(summary) == f"Pushed 1 file to feature/x as 0123456789ab{clause}"
    assert ("## Verification" in render_report(summary)) is bool(rounds)


def test_a_change_that_was_not_verified_says_so_in_the_next_steps() -> None:
    before = dataclasses.replace(FAILURE, verdict=Verdict.FAILED_BEFORE)
    text = render_report(summary_of(DELIVERED, dataclasses.replace(FAILED, results=(before,), failures=())))
    assert "The branch is pushed, but a command fails, as it did before the change." in text
    assert "The end of the output of `npm test`:\n\n````\nfirst\nlast\n````" in text


@pytest.mark.parametrize("base", [DELIVERED, STOPPED], ids=["delivered", "failed"])
def test_changed_checks_are_in_the_next_steps_whatever_the_result(base: RunSummary) -> None:
    summary = summary_of(base, dataclasses.replace(GOOD, changed_checks=tuple(f"{n}: removed" for n in range(7))))
    text = "\n".join(advice(summary))
    assert (
        "Review this first: `0: removed`, `1: removed`, `2: removed`, `3: removed`, `4: removed`, and 2 more." in text
    )
    assert "- `6: removed`" in render_report(summary)


def test_a_delivery_of_a_failed_change_says_so() -> None:
    text = "\n".join(advice(summary_of(DELIVERED, FAILED)))
    assert "The branch is pushed, but its verification failed." in text
    assert "Review this first: `test/a.js: removed`" in text


def test_the_rounds_have_their_costs_and_the_commands_their_source() -> None:
    summary = summary_of(DELIVERED, FAILED, GOOD)
    rounds = tuple(dataclasses.replace(each, spent_usd=0.01 * (each.number + 1), seconds=3) for each in summary.rounds)
    text = render_report(dataclasses.replace(summary, rounds=rounds, verify_source="the file on main"))
    assert "| first | verification failed | 3.0 | $0.0100 |" in text
    assert "| repair 1 | verified | 3.0 | $0.0100 |" in text
    assert "| Verify commands | from the file on main |" in text


def test_a_baseline_without_a_failure_is_said() -> None:
    text = verification_section(summary_of(DELIVERED, dataclasses.replace(FAILED, baseline=(PASSED, PASSED))))
    assert "on the commit that the work started from, all commands pass." in text
    assert "Without the change" not in verification_section(summary_of(DELIVERED, GOOD))


def test_a_pattern_that_no_file_matches_is_named() -> None:
    def text(*unmatched: tuple[str, ...]) -> str:
        results = tuple(dataclasses.replace(PASSED, unmatched_junit=each) for each in unmatched)
        return verification_section(summary_of(DELIVERED, Verification("1" * 40, results)))

    assert "matches a pattern of junit: `r/*.xml`, `x.xml`. " in text(("r/*.xml", "a", "x.xml"), ("r/*.xml", "x.xml"))
    assert "junit" not in text(("r/*.xml",), ())


def test_the_output_is_in_the_report_once_and_not_in_the_quoted_message() -> None:
    text = render_report(failed("it failed. It is saved (the model cost $0.02).\nThe last lines of the output:\nlast"))
    assert "> it failed. It is saved \\(the model cost $0.02\\)." in text
    assert "The last lines of the output" not in text
    assert text.count("first\nlast") == 1
    stopped = dataclasses.replace(STOPPED, error=errors.SetupFailed("it failed.\nIts last lines:\na\nb"))
    assert "> it failed.\n\n````\nIts last lines:\na\nb\n````" in render_report(stopped)


def test_after_a_failure_there_are_more_repairs_and_the_delivery() -> None:
    text = "\n".join(advice(failed()))
    assert f"{CONTINUE}verification.max_repairs=2" in text
    assert "prefect deployment run deliver/ecs" in text
    ended = "x. A repair was ended: the agent used all 200 turns: raise limits.max_turns or reduce the task. y"
    assert f"{CONTINUE}limits.max_turns=400" in "\n".join(advice(failed(ended)))


def test_a_repair_that_changed_nothing_is_not_advised_again() -> None:
    summary = dataclasses.replace(failed(), rounds=summary_of(STOPPED, FAILED, FAILED).rounds)
    text = "\n".join(advice(summary))
    assert "runs continue" not in text
    assert "prefect deployment run deliver/ecs" in text


def test_a_change_that_was_pushed_nevertheless_is_linked_and_not_delivered_again() -> None:
    summary = failed(pushes_failures=True)
    text = render_report(summary)
    assert "The branch `feature/x` is pushed, but its verification failed." in text
    assert "deliver/ecs" not in text
    assert "runs continue" not in text
    assert "prefect deployment run implement/ecs" in text
    assert summary.links.branch in text
    assert summary.links.branch
