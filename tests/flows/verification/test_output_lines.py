"""The output of test tools: a new test that fails makes a difference, and a new test that passes makes none."""

import pytest

from flows.verification.baseline import Lines, compare
from flows.verification.output_lines import PASSING, normalized
from flows.verification.results import CommandResult, Verdict

UNITTEST = ("test_old (t.T.test_old) ... FAIL\n", "FAIL: test_old (t.T.test_old)\nAssertionError: 1 != 2\n"
            "Ran {} tests in 0.00{}s\n\nFAILED (failures={})")  # fmt: skip
PYTEST = ("collected {} items\ntests/test_a.py .F.  [ 7{}%]\n", "FAILED tests/test_a.py::test_old - assert 0\n"
          "=========== {} failed, {} passed in 0.1{}s ===========")  # fmt: skip
TAP = "TAP version 13\n{}not ok {} - old\n1..{}"
GO = "{}=== RUN   TestOld\n--- FAIL: TestOld (0.0{}s)\n{}FAIL\nFAIL\tx/y\t0.03{}s"
CARGO = "running {} tests\ntest t::old ... FAILED\n{}\ntest result: FAILED. {} passed; {} failed; 0 ignored; 0 measured"
JEST = "{}FAIL src/a.test.js\n  ✕ old ({} ms)\nTests:       {} failed, {} passed, {} total\nTime:        1.{} s"
VITEST = " > src/a.test.ts ({} tests | 1 failed) 5ms\n{} Tests  1 failed{} ({})\n   Start at  10:0{}:00"
NODE = "✖ old (0.{}ms)\n{}ℹ tests {}\nℹ pass {}\nℹ fail {}\nℹ duration_ms 5{}.25"  # noqa: RUF001 (the tool's sign)
CTEST = "1/{} Test #1: old ....***Failed    0.0{} sec\n{}{}% tests passed, 1 tests failed out of {}"
MAVEN = "[ERROR] Tests run: 2, Failures: 1, Errors: 0 -- in x.Old\n{}[ERROR] Tests run: {}, Failures: 1, Errors: 0"

BEFORE_AND_PASSING = {
    "unittest": (UNITTEST[0] + UNITTEST[1].format(3, 1, 1),
                 UNITTEST[0] + "test_err (t.T.test_err) ... ok\n" + UNITTEST[1].format(4, 2, 1)),
    "docstring": (UNITTEST[0] + UNITTEST[1].format(3, 1, 1),
                  UNITTEST[0] + "test_a (t.T.test_a)\nAll is well ... ok\n" + UNITTEST[1].format(4, 2, 1)),
    "pytest": (PYTEST[0].format(3, 1) + PYTEST[1].format(1, 2, 1),
               PYTEST[0].format(4, 2) + "tests/test_sub.py ..   [ 99%]\n" + PYTEST[1].format(1, 4, 2)),
    "pytest -v": ("a.py::b FAILED [50%]\n1 failed in 1s",
                  "a.py::b FAILED [33%]\na.py::test_fails_not[no way] PASSED [ 66%]\n1 failed, 1 passed in 2s"),
    "pytest -n": ("[gw0] [ 50%] FAILED a.py::b\n1 failed in 1s",
                  "[gw1] [ 33%] FAILED a.py::b\n[gw0] [ 66%] PASSED a.py::test_fails\n1 failed, 1 passed in 2s"),
    "pytest -q": ("F..  [100%]\n1 failed, 2 passed in 1s", "F...  [100%]\n1 failed, 3 passed in 1s"),
    "tap": (TAP.format("", 1, 1), TAP.format("ok 1 - no error is raised\n", 2, 2)),
    "tap at the end": ("1..1\nnot ok 1 - old", "1..2\nnot ok 1 - old\nok 2 - new"),
    "go": (GO.format("", 1, "", 1), GO.format("=== RUN   TestErr\n--- PASS: TestErr (0.0s)\n", 2, "", 2)),
    "go packages": ("FAIL\tx/y\t0.03s\nFAIL", "ok  \tx/err\t0.01s\nFAIL\tx/y\t0.01s\nFAIL"),
    "cargo": (CARGO.format(1, "", 0, 1), CARGO.format(2, "test t::no_error ... ok", 1, 1)),
    "jest": (JEST.format("", 1, 1, 2, 3, 1), JEST.format("PASS src/err.test.js (5.1 s)\n", 3, 1, 4, 5, 9)),
    "vitest": (VITEST.format(1, "", "", 1, 1), VITEST.format(2, " ✓ err.test.ts (1 test) 2ms\n", " | 2 passed", 3, 2)),
    "node": (NODE.format(1, "", 1, 0, 1, 1), NODE.format(2, "✔ an error (1.5ms)\n", 2, 1, 1, 2)),
    "ctest": (CTEST.format(1, 1, "", 0, 1),
              CTEST.format(2, 2, "    Start 2: err\n2/2 Test #2: err ......   Passed    0.01 sec\n", 50, 2)),
    "maven": (MAVEN.format("", 2),
              MAVEN.format("[INFO] Running x.Err\n[INFO] Tests run: 1, Failures: 0, Errors: 0 -- in x.Err\n", 3)),
    "own script": ("FAIL: a\nresult: bad", "PASS: b\nc ... OK\nFAIL: a\nresult: bad"),
    "coverage": ("a.py  10  2  80%\nFAIL: a", "a.py  10  1  90%\nb.py  4  0  100%\nFAIL: a"),
    "nothing but success": ("", "ok 1 - new"),
}  # fmt: skip

NEW_FAILURES = {
    "unittest": "test_sub (t.T.test_sub) ... FAIL\n" + UNITTEST[0] + UNITTEST[1].format(4, 2, 2),
    "pytest": PYTEST[0].format(4, 2) + "tests/test_sub.py F   [ 99%]\n" + PYTEST[1].format(1, 2, 2),
    "pytest -v": "a.py::b FAILED [33%]\na.py::c FAILED [ 66%]\n1 failed, 1 passed in 2s",
    "pytest -q": "F.F.  [100%]\n1 failed, 3 passed in 1s",
    "tap": TAP.format("not ok 1 - new\n", 2, 2),
    "tap at the end": "1..2\nnot ok 1 - old\nnot ok 2 - new",
    "go": GO.format("--- FAIL: TestErr (0.0s)\n", 2, "", 2),
    "cargo": CARGO.format(2, "test t::new ... FAILED", 0, 1),
    "jest": JEST.format("", 1, 2, 2, 4, 1),
    "vitest": VITEST.format(2, " > b.test.ts (1 test | 1 failed) 2ms\n", " | 2 passed", 3, 2),
    "node": NODE.format(2, "✖ new (1.5ms)\n", 2, 0, 2, 2),
    "ctest": CTEST.format(2, 2, "2/2 Test #2: err ......***Failed    0.01 sec\n", 0, 2),
    "maven": MAVEN.format("[ERROR] Tests run: 1, Failures: 1, Errors: 0 -- in x.Err\n", 3),
    "own script": "FAIL: a\nPASS: b\nFAIL: c\nresult: bad",
    "coverage": "a.py  10  1  90%\nFAIL: a\nFAIL: coverage is too low",
    "nothing but success": "ok 1 - new\nerror: x",
}


def compared(output: str, before: str) -> Verdict:
    results = []
    for text in (output, before):
        lines = Lines()
        lines.write(text.encode())
        results.append(CommandResult("x", Verdict.FAILED, 1, 1.0, text, None, lines.hashes))
    (judged,), _ = compare(results[:1], results[1:])
    return judged.verdict


@pytest.mark.parametrize("tool", BEFORE_AND_PASSING)
def test_a_new_test_that_passes_is_no_new_failure(tool: str) -> None:
    before, now = BEFORE_AND_PASSING[tool]
    assert compared(now, before) is Verdict.FAILED_BEFORE


@pytest.mark.parametrize("tool", NEW_FAILURES)
def test_a_new_test_that_fails_is_a_new_failure(tool: str) -> None:
    assert compared(NEW_FAILURES[tool], BEFORE_AND_PASSING[tool][0]) is Verdict.FAILED


@pytest.mark.parametrize(
    "line",
    ["FAILED a.py::b - it is not ok", "b: not ok", "passed 2 of 3", "ok, but 3 errors", "error x", "a crash: ok", "E",
     "3 problems ok", "test b ... FAILED", "PASS: 1 failed", "I. x", "FAILED a.py::b - PASSED"],
)  # fmt: skip
def test_a_line_with_a_word_of_failure_does_not_pass(line: str) -> None:
    assert PASSING not in normalized(line)


def test_a_command_that_breaks_off_after_a_failure_is_a_new_failure() -> None:
    assert compared("not ok 1 - old", "not ok 1 - old\nok 2 - b") is Verdict.FAILED
