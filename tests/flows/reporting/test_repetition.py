"""A call that fails over and over in the same way is noticed; progress between two failures is not."""

from collections.abc import Iterable

import pytest

from flows.agent.event_types import Event, ToolResult, ToolUse
from flows.reporting.activity import ActivityLog
from flows.reporting.repetition import RepeatedFailures

FAILURE = "Exit code 1\nassert 1 == 2\n1 failed in 0.12s"


def step(number: int, command: str, output: str, *, is_error: bool = True, tool: str = "Bash") -> Iterable[Event]:
    name = "command" if tool == "Bash" else "file_path"
    return (ToolUse(str(number), tool, {name: command}), ToolResult(str(number), output, is_error, None))


def notice(steps: Iterable[Iterable[Event]]) -> tuple[RepeatedFailures, list[str]]:
    failures = RepeatedFailures()
    return failures, [text for events in steps for event in events if (text := failures.notice(event))]


@pytest.mark.parametrize(
    "outputs",
    [
        [FAILURE] * 30,
        [f"Exit code 1\n1 failed in {n}.{n}s" for n in range(30)],
        [f"Exit code 1\nat 0x{n:08x}: pid {n} died" for n in range(30)],
        ["Exit code 127\nbash: make: command not found"] * 30,
    ],
    ids=["equal", "durations", "addresses", "not-found"],
)
def test_thirty_equal_failures_are_reported_four_times_and_counted(outputs: list[str]) -> None:
    failures, lines = notice(step(n, "make test", output) for n, output in enumerate(outputs))
    assert [int(line.split()[0]) for line in lines] == [5, 10, 20]
    assert failures.most.startswith("30 times the same failure: runs make test")
    assert failures.current == failures.most


def test_a_failure_that_a_pipe_hides_is_counted() -> None:
    failures, _ = notice(step(n, "pytest | tail", "2 failed, 3 passed", is_error=False) for n in range(6))
    assert failures.most.startswith("6 times")


def test_a_tool_without_a_command_is_counted_too() -> None:
    failures, _ = notice(step(n, "/a", "File has not been read yet", tool="Edit") for n in range(7))
    assert failures.most.startswith("7 times the same failure: edits /a")


def test_other_calls_in_between_do_not_hide_the_repetition() -> None:
    steps = [step(2 * n, "make", FAILURE) for n in range(6)] + [
        step(2 * n + 1, f"ls {n}", "", is_error=False) for n in range(6)
    ]
    failures, _ = notice(sorted(steps, key=lambda events: int(next(iter(events)).id)))  # type: ignore[attr-defined]
    assert failures.most.startswith("6 times")
    assert failures.current == "", "the last call was another one"


@pytest.mark.parametrize(
    "steps",
    [
        [step(n, "make", f"Exit code 1\n{'x' * n} is missing") for n in range(30)],
        [step(n, f"make {n}", FAILURE) for n in range(30)],
        [step(n, "make", "0 failed, 3 passed", is_error=False) for n in range(30)],
        [step(n, "make", FAILURE, is_error=n % 4 != 3) if n % 4 != 3 else step(n, "make", "ok", is_error=False)
         for n in range(30)],
    ],
    ids=["other-failures", "other-commands", "successes", "a-success-in-between"],
)  # fmt: skip
def test_progress_is_not_reported(steps: list[Iterable[Event]]) -> None:
    failures, lines = notice(steps)
    assert not lines
    assert failures.most == failures.current == ""


def test_the_activity_log_warns() -> None:
    log = ActivityLog()
    events = [event for n in range(5) for event in step(n, "make", FAILURE)]
    warnings = [line.text for event in events for line in log.lines(event, 0) if line.level == 30]
    assert warnings == ["5 times the same failure: runs make → exit 1, 1 failed"]
