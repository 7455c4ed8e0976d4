"""The report of a repair, together with that of the work before it."""

from dataclasses import replace

import pytest

from flows.state.agent_report import AgentReport, ReviewReply, WorkStatus

FIRST = AgentReport("I did it.", 3, 0.5, 60, "s", {"m": {"inputTokens": 5, "name": "x"}}, ("Bash",), ("a", "b"))
REPAIR = AgentReport("I repaired it.", 2, 0.75, 20, "s", {"m": {"inputTokens": 2, "name": "x"}}, ("Write",), ("b",))


def test_figures_of_one_process_are_added_and_the_cost_of_the_run_is_not() -> None:
    both = REPAIR.after(FIRST, is_repair=True)
    assert (both.turns, both.duration_seconds, both.cost_usd) == (5, 80, 0.75)
    assert both.model_usage == {"m": {"inputTokens": 7, "name": "x"}}
    assert (both.permission_denials, both.denied_paths) == (("Bash", "Write"), ("a", "b"))


def test_both_messages_are_in_the_summary_in_their_order() -> None:
    summary = REPAIR.after(FIRST, is_repair=True).summary
    assert summary.startswith("I did it.\n")
    assert summary.endswith("\nI repaired it.")


def test_without_earlier_work_a_report_stays_as_it_is() -> None:
    assert REPAIR.after(None, is_repair=True) == REPAIR


@pytest.mark.parametrize(
    ("first", "repair", "expected"),
    [
        (WorkStatus.PARTLY, WorkStatus.DONE, WorkStatus.PARTLY),
        (WorkStatus.PARTLY, WorkStatus.UNKNOWN, WorkStatus.PARTLY),
        (WorkStatus.DONE, WorkStatus.UNKNOWN, WorkStatus.DONE),
        (WorkStatus.DONE, WorkStatus.PARTLY, WorkStatus.PARTLY),
        (WorkStatus.PARTLY, WorkStatus.NEEDS_INPUT, WorkStatus.NEEDS_INPUT),
    ],
)
def test_a_repair_does_not_hide_what_the_work_before_it_left_undone(
    first: WorkStatus, repair: WorkStatus, expected: WorkStatus
) -> None:
    earlier = replace(FIRST, status=first, not_done=("the third part", "both"), questions=("Why?",))
    both = replace(REPAIR, status=repair, not_done=("both", "new")).after(earlier, is_repair=True)
    assert (both.status, both.questions) == (expected, ("Why?",))
    assert both.not_done == ("the third part", "both", "new")
    assert replace(REPAIR, not_done=()).after(earlier, is_repair=False).not_done == ()


def test_a_repair_keeps_the_answers_to_a_review_and_may_replace_some() -> None:
    first = replace(FIRST, replies=(ReviewReply(1, "Renamed.", is_changed=True), ReviewReply(2, "Why not?")))
    repair = replace(REPAIR, replies=(ReviewReply(1, "Renamed it everywhere."), ReviewReply(3, "Done.")))
    assert repair.after(first, is_repair=True).replies == (
        ReviewReply(1, "Renamed it everywhere.", is_changed=True),
        ReviewReply(2, "Why not?"),
        ReviewReply(3, "Done."),
    )
    assert repair.after(first, is_repair=False).replies == repair.replies
