"""The comparison with the base commit: a command that fails no more than there does not fail because of the change."""

from dataclasses import replace

import pytest

from flows.verification.baseline import Lines, compare
from flows.verification.results import CommandResult, TestCounts, Verdict

PYTEST = """\
tests/test_a.py:12: AssertionError
FAILED tests/test_a.py::test_a - assert <A object at 0x7f00aa> == 1
FAILED tests/test_b.py::test_b - OSError: /tmp/pytest-of-u/pytest-3/x
========================= 2 failed, 10 passed in 0.12s =========================
"""
AGAIN = """\
tests/test_a.py:17: AssertionError
FAILED tests/test_a.py::test_a - assert <A object at 0x7f11bb> == 1
FAILED tests/test_b.py::test_b - OSError: /tmp/pytest-of-u/pytest-44/x
======================== 2 failed, 11 passed in 12.75s =========================
"""
SHORTER = """\
tests/test_a.py:17: AssertionError
FAILED tests/test_a.py::test_a - assert <A object at 0x7f11bb> == 1
======================== 1 failed, 12 passed in 12.75s =========================
"""


def result(
    output: str = "", verdict: Verdict = Verdict.FAILED, status: int | None = 1, failed: tuple[str, ...] | None = None
) -> CommandResult:
    tests = TestCounts(10, len(failed), 0, failed) if failed is not None else None
    return CommandResult("x", verdict, status, 1.0, output, tests)


def verdict(new: CommandResult, before: CommandResult) -> str:
    (judged,), failures = compare((new,), (before,))
    assert bool(failures) == (judged.verdict not in {Verdict.PASSED, Verdict.FAILED_BEFORE})
    return judged.verdict


@pytest.mark.parametrize(
    ("new", "before", "expected"),
    [
        (("a",), ("a",), "failed before"),
        (("a",), ("a", "b"), "failed before"),
        (("b", "a"), ("a", "b"), "failed before"),
        (("a", "b"), ("a",), "failed"),
        (("b",), ("a",), "failed"),
    ],
)
def test_failed_tests_are_compared_by_name(new: tuple[str, ...], before: tuple[str, ...], expected: str) -> None:
    assert verdict(result("x", failed=new), result("y", failed=before)) == expected


@pytest.mark.parametrize(
    ("new", "before", "expected"),
    [
        (AGAIN, PYTEST, "failed before"),
        (SHORTER, PYTEST, "failed before"),
        (PYTEST, SHORTER, "failed"),
        (AGAIN.replace("test_b.py::test_b", "test_b.py::test_c"), PYTEST, "failed"),
        (AGAIN.replace("2 failed", "3 failed"), PYTEST, "failed"),
        (AGAIN.replace("== 1", "== 2"), PYTEST, "failed"),
        ("", PYTEST, "failed"),
        ("tests/test_a.py:12: AssertionError\n", PYTEST, "failed"),
        ("", "", "failed before"),
        ("1 problem\n", "2 problems\n", "failed"),
        ("3 errors in 2.1 s\n", "3 errors in 1.0 s\n", "failed before"),
        ("2 errors\n", "3 errors\n", "failed before"),
        ("4 errors\n", "3 errors\n", "failed"),
        ("FAILED (failures=1, errors=1)", "FAILED (failures=2, errors=1)", "failed before"),
        ("FAILED (failures=2, errors=2)", "FAILED (failures=2, errors=1)", "failed"),
        ("--- FAIL: TestA (0.02s)\nFAIL\tx/y\t0.031s\n", "--- FAIL: TestA (0.11s)\nFAIL\tx/y\t1.2s\n", "failed before"),
        ("--- FAIL: TestB (0.02s)\nFAIL\tx/y\t0.031s\n", "--- FAIL: TestA (0.11s)\nFAIL\tx/y\t1.2s\n", "failed"),
        ("2026-11-28T03:00:01Z error x\n", "2026-11-28 02:00:59.123 error x\n", "failed before"),
        ("version 12 is broken\n", "version 11 is broken\n", "failed"),
        ("errors:4\n", "errors:3\n", "failed"),
        ("src/a.ts:4:12 - error\n", "src/a.ts:9:1 - error\n", "failed before"),
    ],
    ids=[
        "same", "shorter", "longer", "other-test", "more", "other-value", "silent", "breaks-off", "both-silent",
        "other-words", "durations", "fewer-errors", "more-errors", "fewer-unittest", "more-unittest", "go", "other-go",
        "times", "other-number", "colon", "position",
    ],
)  # fmt: skip
def test_without_junit_files_the_ends_of_the_output_are_compared(new: str, before: str, expected: str) -> None:
    assert verdict(result(new), result(before)) == expected


@pytest.mark.parametrize(
    ("new", "before", "expected"),
    [
        (result("x", failed=("a",)), result("x", Verdict.PASSED, 0, ()), "failed"),
        (result("x"), result("x", Verdict.TIMED_OUT, None), "failed"),
        (result("x", Verdict.TIMED_OUT, None), result("x"), "timed out"),
        (result("x", Verdict.TIMED_OUT, None), result("x", Verdict.TIMED_OUT, None), "failed before"),
        (result("x", status=2), result("x", status=1), "failed"),
        (result("x", failed=()), result("x", failed=("a",)), "failed before"),
        (result("crash", failed=()), result("x", failed=("a",)), "failed"),
        (result("x", failed=("a",)), result("x"), "failed before"),
        (result("y", failed=("a",)), result("x"), "failed"),
        (result("x", Verdict.PASSED, 0), result("x"), "passed"),
        (result("no", Verdict.NOT_FOUND, 127), result("no", Verdict.NOT_FOUND, 127), "failed before"),
    ],
    ids=["passed-before", "hung-before", "hangs-now", "hangs", "status", "no-failed-test", "crash", "one-file",
         "one-file-other", "passes-now", "not-found"],
)  # fmt: skip
def test_only_the_same_kind_of_failure_counts(new: CommandResult, before: CommandResult, expected: str) -> None:
    assert verdict(new, before) == expected


def with_tests(
    failed: tuple[str, ...], tests: int, skipped: int = 0, status: int = 1, output: str = "x"
) -> CommandResult:
    return CommandResult("x", Verdict.FAILED, status, 1.0, output, TestCounts(tests, len(failed), skipped, failed))


@pytest.mark.parametrize(
    ("new", "before", "expected"),
    [
        (with_tests(("a",), 3, output="crash"), with_tests(("a",), 10), "failed"),
        (with_tests(("a",), 10, 7, output="skipped"), with_tests(("a",), 10), "failed"),
        (with_tests(("a",), 9), with_tests(("a",), 10), "failed before"),
        (with_tests(("a",), 12, output="y"), with_tests(("a",), 10), "failed before"),
        (with_tests(("a",), 10, status=139), with_tests(("a",), 10), "failed"),
        (with_tests(("a",), 10, status=3), with_tests(("a", "b"), 10, status=1), "failed"),
        (with_tests(("a",), 10, status=-9), with_tests(("a", "b"), 10, status=1), "failed"),
        (with_tests(("a",), 10, status=1), with_tests(("a", "b"), 10, status=2), "failed before"),
    ],
    ids=["crash", "skips", "removed-test", "new-tests", "signal", "other-end", "killed", "count-as-status"],
)
def test_the_same_failed_tests_are_not_enough(new: CommandResult, before: CommandResult, expected: str) -> None:
    assert verdict(new, before) == expected


def test_a_command_that_is_there_twice_is_compared_with_its_own_result() -> None:
    first, second = result("x", Verdict.PASSED, 0), result("y")
    judged, failures = compare((result("y"), result("y")), (first, second))
    assert [each.verdict for each in judged] == [Verdict.FAILED, Verdict.FAILED_BEFORE]
    assert failures == judged[:1]


def hashes(*lines: str, lot: int = 1) -> tuple[str, ...] | None:
    made = Lines()
    for _ in range(lot):
        made.write("".join(f"{line}\n" for line in lines).encode())
    return made.hashes


def test_the_whole_output_counts_and_not_only_its_end() -> None:
    old = replace(result("end"), lines=hashes("a.ts:1:2 error", "3 errors in 1.2 s", "end"))
    same = replace(result("end"), lines=hashes("a.ts:7:9 error", "2 errors in 7.1 s", "end"))
    more = replace(result("end"), lines=hashes("b.ts:1:2 error", "a.ts:1:2 error", "end"))
    long = replace(result("end"), lines=hashes("x" * 1000, lot=5000))
    assert verdict(same, old) == "failed before"
    assert verdict(more, old) == "failed"
    assert long.lines is None
    assert verdict(long, long) == "failed"


def test_without_a_baseline_every_failure_counts() -> None:
    results = (result("x"), result("x", Verdict.PASSED, 0))
    assert compare(results, ()) == (results, results[:1])


@pytest.mark.parametrize(
    "unit",
    ["x", "1.", "0x", " ", "a/", "1 ", "/var/", "=", "1\n", "12:34 ", "a.ts:1", "a::", "ok ", ".", "F.", "[ "],
)
def test_no_output_makes_the_comparison_endless(unit: str) -> None:
    for length in (2**19, 2_000):
        line = unit * (length // len(unit))
        assert hashes(line, lot=2**19 // len(line)) is not None
