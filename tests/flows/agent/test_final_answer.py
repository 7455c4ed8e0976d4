"""The agent's final answer, in each of the ways in which the model gives it or does not, with the real Claude Code."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from deployments.local.scripted_model import Tool, Turn
from flows import errors
from flows.agent.event_types import Result
from flows.agent.final_answer import (
    ANSWER_TOOL,
    FinalAnswer,
    check_status,
    final_answer,
    with_last_question,
)
from flows.agent.outcome import judge
from flows.parameters.claude_code import ClaudeCodeOptions
from flows.parameters.limits import Limits
from flows.state.agent_report import AgentReport, ReviewReply, WorkStatus
from tests.support.agent_alone import AgentAlone, agent_alone

WRITES = Turn("I write.", (Tool("Write", {"file_path": "{cwd}/a.txt", "content": "a"}),))
BAD = Turn("All is done.", (Tool(ANSWER_TOOL, {"title": 5, "extra": True}),))
REPORT = AgentReport("I am done.", 1, 0, 1, "id", {}, ())


@pytest.fixture
def alone() -> Iterator[AgentAlone]:
    with agent_alone() as agent:
        yield agent


def answer(**fields: object) -> FinalAnswer:
    return final_answer(Result(text="the JSON", structured_output=fields))


def test_an_answer_needs_no_request_of_its_own(alone: AgentAlone) -> None:
    last = Turn("I am done.", answer={"status": "partly", "title": "Add a", "not_done": ["b", "c"], "questions": ["?"]})
    report = judge(alone.work(WRITES, last), alone.agent.options)
    assert (report.status, report.title, report.summary) == (WorkStatus.PARTLY, "Add a", "I am done.")
    assert (report.not_done, report.questions) == (("b", "c"), ("?",))
    assert len(alone.model.requests) == report.turns == 2


def test_without_an_answer_the_last_text_counts(alone: AgentAlone) -> None:
    report = judge(alone.work(WRITES, Turn("All is done.", answer=None)), alone.agent.options)
    assert (report.summary, report.status, report.title) == ("All is done.", WorkStatus.UNKNOWN, "")


def test_answers_of_the_wrong_form_do_not_fail_finished_work(alone: AgentAlone) -> None:
    run = alone.work(WRITES, *[BAD] * 9)
    assert run.result is not None
    assert run.result.subtype == "error_max_structured_output_retries"
    report = judge(run, alone.agent.options)
    assert (report.summary, report.status) == ("All is done.", WorkStatus.UNKNOWN)


def test_an_answer_is_taken_after_one_of_the_wrong_form(alone: AgentAlone) -> None:
    assert judge(alone.work(WRITES, BAD, Turn("Now.")), alone.agent.options).title == "Now."


def test_the_turn_limit_does_not_fail_finished_work_whose_answer_is_missing(alone: AgentAlone) -> None:
    alone.agent.options = ClaudeCodeOptions(provider="anthropic", limits=Limits(max_turns=2))
    run = alone.work(WRITES, Turn("All is done.", answer=None))
    assert run.result is not None
    assert run.result.subtype == "error_max_turns"
    assert judge(run, alone.agent.options).summary == "All is done."


def test_the_turn_limit_fails_work_that_goes_on(alone: AgentAlone) -> None:
    alone.agent.options = ClaudeCodeOptions(provider="anthropic", limits=Limits(max_turns=3))
    run = alone.work(WRITES, Turn("All is done.", answer=None), WRITES, WRITES)
    with pytest.raises(errors.TurnLimitReached):
        judge(run, alone.agent.options)


def test_an_error_of_the_model_after_the_work_does_not_fail_it(alone: AgentAlone) -> None:
    refusal = Turn("", stop={"stop_reason": "refusal"})
    run = alone.work(WRITES, Turn("All is done.", answer=None), refusal)
    assert judge(run, alone.agent.options).summary == "All is done."


def test_foreign_text_in_an_answer_is_made_safe_and_cut() -> None:
    unsafe = answer(
        status="done",
        title="a\nb \x1b[31m" + "c" * 999,
        summary="x\x00y\ud83d",
        questions=["one\ntwo", 7, "", *["q" * 5000] * 99],
        not_done="a string",
    )
    assert unsafe.title.startswith("a b ")
    assert "\x1b" not in unsafe.title
    assert len(unsafe.title) == 200
    assert unsafe.summary.encode()
    assert "\x00" not in unsafe.summary
    assert unsafe.questions[0] == "one two"
    assert len(unsafe.questions) <= 20
    assert max(map(len, unsafe.questions)) == 1000
    assert unsafe.not_done == ()


@pytest.mark.parametrize(
    "fields",
    [{"status": "excellent"}, {"status": None}, {"status": ["done"]}, {"status": {}}, {"title": 7}, {"questions": {}}],
    ids=str,
)
def test_fields_of_the_wrong_type_are_empty(fields: dict[str, Any]) -> None:
    assert answer(summary="s", **fields) == FinalAnswer("s")


def test_without_structured_output_the_text_counts() -> None:
    assert final_answer(Result(text="the text")) == FinalAnswer("the text")


@pytest.mark.parametrize(
    ("status", "command", "error", "message"),
    [
        (
            WorkStatus.NEEDS_INPUT,
            "go on",
            errors.NeedsInput,
            "the agent needs answers to go on: Which? / Why? Answer with go on",
        ),
        (
            WorkStatus.NEEDS_INPUT,
            "",
            errors.NeedsInput,
            "the agent needs answers to go on: Which? / Why? Start a new run with the answers in its instructions",
        ),
        (
            WorkStatus.BLOCKED,
            "go on",
            errors.Blocked,
            "the agent could not go on: I am done. / Which? / Why? Remove the cause, and tell the agent with go on",
        ),
        (
            WorkStatus.BLOCKED,
            "",
            errors.Blocked,
            "the agent could not go on: I am done. / Which? / Why? Remove the cause, and start a new run",
        ),
    ],
)
def test_an_agent_that_cannot_go_on_is_an_error_that_says_why_and_what_to_do(
    status: WorkStatus, command: str, error: type[errors.RunError], message: str
) -> None:
    with pytest.raises(error) as caught:
        check_status(replace(REPORT, status=status, questions=("Which?", "Why?")), "s3://b/change.bundle", command)
    assert str(caught.value) == f"{message}. The work so far is saved as s3://b/change.bundle"
    assert not caught.value.retryable


@pytest.mark.parametrize("status", [WorkStatus.DONE, WorkStatus.PARTLY, WorkStatus.UNKNOWN])
def test_any_other_status_is_no_error(status: WorkStatus) -> None:
    check_status(replace(REPORT, status=status, questions=("Which?",)), "", "")


def test_an_agent_that_says_nothing_about_its_reason_is_quoted() -> None:
    for status, error in ((WorkStatus.BLOCKED, errors.Blocked), (WorkStatus.NEEDS_INPUT, errors.NeedsInput)):
        for summary in ("I am done", "I am done."):
            with pytest.raises(error, match=r": I am done\. \w"):
                check_status(replace(REPORT, status=status, summary=summary), "", "")


def test_a_question_at_the_end_counts_if_nothing_was_changed() -> None:
    asking = with_last_question(replace(REPORT, summary="I looked.\n\nWhich file?", status=WorkStatus.DONE))
    assert (asking.status, asking.questions) == (WorkStatus.NEEDS_INPUT, ("Which file?",))
    assert with_last_question(REPORT) == REPORT
    blocked = replace(REPORT, summary="Which file?", status=WorkStatus.BLOCKED)
    assert with_last_question(blocked) == blocked


@pytest.mark.parametrize("status", ["Needs_Input", "needs input", " NEEDS-INPUT\n"])
def test_a_status_counts_in_any_spelling(status: str) -> None:
    assert answer(summary="s", status=status).status is WorkStatus.NEEDS_INPUT


@pytest.mark.parametrize("not_done", [None, [], [" "], "text", [7]], ids=repr)
def test_partly_done_work_is_never_without_a_word_of_it(not_done: object) -> None:
    assert answer(summary="s", status="partly", not_done=not_done).not_done == (
        "something that the agent does not name",
    )


@pytest.mark.parametrize("summary", [None, 7, ["a"], {}], ids=repr)
def test_a_summary_of_the_wrong_type_is_empty(summary: object) -> None:
    assert answer(status="done", summary=summary).summary == ""


def test_the_answers_to_a_review_are_read_and_what_is_no_answer_is_left_out() -> None:
    replies = [
        {"comment": 1, "text": " Renamed\x1b[2J it. ", "changed": True},
        {"comment": "2", "text": "no number"},
        {"comment": True, "text": "no number"},
        {"comment": 3, "text": ""},
        {"comment": 4, "text": "x" * 30_000, "changed": "yes"},
        "no object",
    ]
    first, second = answer(status="done", replies=replies).replies
    assert (first.comment, first.is_changed) == (1, True)
    assert "\x1b" not in first.text
    assert (second.comment, len(second.text), second.is_changed) == (4, 20_000, False)
    assert answer(status="done", replies="none").replies == ()


def test_an_agent_that_asks_a_reviewer_needs_no_input_of_the_operator() -> None:
    asks = replace(REPORT, summary="Which name do you want?", status=WorkStatus.DONE)
    assert with_last_question(asks).status is WorkStatus.NEEDS_INPUT
    assert with_last_question(replace(asks, replies=(ReviewReply(1, "Which name?"),))).status is WorkStatus.DONE
