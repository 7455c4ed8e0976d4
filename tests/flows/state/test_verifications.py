"""The record of a run's verifications: what is read back, and which round is repaired."""

from dataclasses import replace

import pytest

from flows.state.verifications import Round, Verifications
from flows.verification.results import CommandResult, Status, TestCounts, Verdict, Verification

COMMANDS = ("npm test", "npm run lint")
FAILURE = CommandResult("npm test", Verdict.FAILED, 1, 2.5, "the end", TestCounts(3, 1, 0, ("a",)))
PASSED = CommandResult("npm run lint", Verdict.PASSED, 0, 0.5, unmatched_junit=("r/*.xml",))
BEFORE = (replace(FAILURE, tests=None),)
FAILED = Verification("1" * 40, (FAILURE, PASSED), baseline=BEFORE, changed_checks=("Makefile",), failures=(FAILURE,))
GOOD = Verification("2" * 40, (PASSED,))


def round_of(number: int, verification: Verification, commands: tuple[str, ...] = COMMANDS) -> Round:
    return Round(number, commands, f"{number}" * 40, verification, 3.5, 60.25)


def test_a_record_is_read_back_as_it_was_saved() -> None:
    fault = Verification("3" * 40, setup_fault="no such package", baseline_fault="it is broken")
    record = Verifications((round_of(0, FAILED), round_of(1, fault), round_of(2, GOOD)))
    restored = Verifications.unpack(record.pack())
    assert restored == record
    assert [each.verification.status for each in restored.rounds] == [Status.FAILED, Status.FAILED, Status.VERIFIED]
    assert restored.rounds[0].verification.results[0].verdict is Verdict.FAILED


def test_a_round_replaces_its_predecessor_and_all_later_ones() -> None:
    record = Verifications((round_of(0, FAILED), round_of(1, FAILED), round_of(2, GOOD)))
    new = round_of(1, GOOD, ("make test",))
    assert record.with_round(new).rounds == (round_of(0, FAILED), new)


def test_results_are_found_by_commands_and_by_tree_or_commit() -> None:
    record = Verifications((round_of(0, FAILED), round_of(1, GOOD)))
    assert record.of(0, COMMANDS) == round_of(0, FAILED)
    assert record.of(0, ("make test",)) is None
    assert record.of_tree("1" * 40, COMMANDS) == FAILED
    assert record.of_tree("1" * 40, ("make test",)) is None
    assert record.of_tree("1" * 40) == FAILED
    assert record.of_commit("1" * 40) == GOOD
    assert record.of_commit("") is None


@pytest.mark.parametrize(
    ("verification", "baseline"),
    [(FAILED, BEFORE), (replace(FAILED, baseline=(), baseline_fault="broken"), ()), (GOOD, None)],
    ids=["results", "fault", "not needed"],
)
def test_the_baseline_is_that_of_the_round_that_made_it(
    verification: Verification, baseline: tuple[CommandResult, ...] | None
) -> None:
    record = Verifications((round_of(0, verification),))
    assert record.baseline(COMMANDS) == baseline
    assert record.baseline(("make test",)) is None


def test_only_a_failed_round_whose_work_is_new_is_repaired() -> None:
    other = replace(FAILED, tree="9" * 40)
    record = Verifications((round_of(0, FAILED), round_of(1, other), round_of(2, other), round_of(3, GOOD)))
    assert [record.is_repairable(number, COMMANDS) for number in range(5)] == [True, True, False, False, False]
    assert not record.is_repairable(0, ("make test",))


def test_a_round_can_be_left_out() -> None:
    record = Verifications((round_of(0, FAILED), round_of(1, GOOD)))
    assert record.without(1).rounds == (round_of(0, FAILED),)
    assert record.without(2) == record


@pytest.mark.parametrize(
    ("verification", "expected"),
    [
        (replace(FAILED, failures=(replace(FAILURE, verdict=Verdict.TIMED_OUT),)), True),
        (replace(FAILED, failures=(FAILURE, replace(FAILURE, verdict=Verdict.OUT_OF_MEMORY))), True),
        (replace(FAILED, failures=(replace(FAILURE, verdict=Verdict.OUT_OF_DISK),)), True),
        (Verification("3" * 40, setup_fault="no network"), True),
        (replace(GOOD, results=(replace(FAILURE, verdict=Verdict.TIMED_OUT),)), False),
        (FAILED, False),
        (GOOD, False),
    ],
    ids=["time", "memory", "disk", "setup", "failed-before", "failed", "good"],
)
def test_what_the_machine_may_have_caused_may_pass_again(verification: Verification, expected: bool) -> None:
    assert verification.may_pass_again is expected
