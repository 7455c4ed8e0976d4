"""Defines the agent's final answer: what the model is asked for at the end of its work, and how its answer is read.

With `--json-schema`, Claude Code offers the model a tool, `StructuredOutput`, whose call ends the work without a
further request. The model may not call it, or not correctly. Then the agent's last text counts.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from flows.agent.event_types import Result
from flows.agent.last_words import question
from flows.errors import Blocked, NeedsInput, RunError
from flows.state.agent_report import AgentReport, ReviewReply, WorkStatus
from flows.text_safety import one_line, sanitize

ANSWER_TOOL: Final = "StructuredOutput"
REMINDER: Final = "[structured-output-enforce]"
"""How the message begins with which Claude Code asks for the answer, if the model ended its work without one."""

_TITLE_CHARACTERS: Final = 200
_ITEM_CHARACTERS: Final = 1000
_MAX_ITEMS: Final = 20
_MAX_REPLIES: Final = 1000
_REPLY_CHARACTERS: Final = 20_000
_NOT_NAMED: Final = "something that the agent does not name"
_REASONS_CHARACTERS: Final = 2000
_ERRORS: Final[Mapping[WorkStatus, type[RunError]]] = {WorkStatus.NEEDS_INPUT: NeedsInput, WorkStatus.BLOCKED: Blocked}
_BEGINNINGS: Final = {
    WorkStatus.NEEDS_INPUT: "the agent needs answers to go on",
    WorkStatus.BLOCKED: "the agent could not go on",
}
_ADVICE: Final = {
    WorkStatus.NEEDS_INPUT: ("Answer with", "Start a new run with the answers in its instructions"),
    WorkStatus.BLOCKED: ("Remove the cause, and tell the agent with", "Remove the cause, and start a new run"),
}
"""What to do: with a command that continues the session, and without one."""

_STATUS: Final = """\
done: all requirements are implemented. partly: some are not, and not_done names them. blocked: something that no \
answer could change, such as a missing service, prevents the work. needs_input: without a person's answer to your \
questions, the result would be useless; decide smaller matters yourself."""

_PROPERTIES: Final = {
    "status": {"type": "string", "enum": [status.value for status in WorkStatus if status], "description": _STATUS},
    "title": {
        "type": "string",
        "description": "What the change does, in one line of at most 70 characters, as the title of a pull request.",
    },
    "summary": {"type": "string", "description": "What you did, how and why, in Markdown, for a reviewer."},
    "questions": {"type": "array", "items": {"type": "string"}, "description": "Only for needs_input and blocked."},
    "not_done": {"type": "array", "items": {"type": "string"}, "description": "The requirements that are left undone."},
    "replies": {
        "type": "array",
        "description": "Only for numbered comments of a review: an answer to each.",
        "items": {
            "type": "object",
            "properties": {
                "comment": {"type": "integer"},
                "text": {"type": "string"},
                "changed": {"type": "boolean"},
            },
            "required": ["comment", "text", "changed"],
            "additionalProperties": False,
        },
    },
}

SCHEMA: Final = json.dumps(
    {
        "type": "object",
        "properties": _PROPERTIES,
        "required": ["status", "title", "summary"],
        "additionalProperties": False,
    },
    separators=(",", ":"),
)
"""The argument of `--json-schema`, the same in all runs. https://docs.claude.com/en/docs/claude-code/cli-reference"""


@dataclass(frozen=True)
class FinalAnswer:
    """The agent's final answer. All fields but the summary are empty if the agent gave none."""

    summary: str
    status: WorkStatus = WorkStatus.UNKNOWN
    title: str = ""
    questions: tuple[str, ...] = ()
    not_done: tuple[str, ...] = ()
    replies: tuple[ReviewReply, ...] = ()


def final_answer(result: Result) -> FinalAnswer:
    """Return the final answer in a result event. Without one, the summary is the model's last text."""
    fields: Mapping[str, Any] = result.structured_output
    if not fields:
        return FinalAnswer(sanitize(result.text))
    status, title, summary = _status(fields.get("status")), fields.get("title"), fields.get("summary")
    not_done = tuple(_items(fields.get("not_done")))
    return FinalAnswer(
        summary=sanitize(summary) if isinstance(summary, str) else "",
        status=status,
        title=one_line(sanitize(title))[:_TITLE_CHARACTERS] if isinstance(title, str) else "",
        questions=tuple(_items(fields.get("questions"))),
        not_done=not_done or ((_NOT_NAMED,) if status is WorkStatus.PARTLY else ()),
        replies=tuple(_replies(fields.get("replies"))),
    )


def _status(value: object) -> WorkStatus:
    word = re.sub(r"[\s-]+", "_", value.strip().lower()) if isinstance(value, str) else ""
    return WorkStatus(word) if word in set(WorkStatus) else WorkStatus.UNKNOWN


def with_last_question(report: AgentReport) -> AgentReport:
    """Return the report of an agent that changed nothing. If it ends with a question, the agent needs input."""
    is_over = report.status in {WorkStatus.UNKNOWN, WorkStatus.DONE} and not report.replies
    asks = is_over and question(report.summary)
    return replace(report, status=WorkStatus.NEEDS_INPUT, questions=(asks,)) if asks else report


def check_status(report: AgentReport, path: str, command: str) -> None:
    """Raise an error if the agent could not finish its work without a person.

    Args:
        report: The agent's report.
        path: Where the work so far is saved; empty if nothing is changed.
        command: The command that continues the session; empty if the run cannot be continued.

    Raises:
        NeedsInput: The agent has questions.
        Blocked: Something prevents the work.
    """
    error = _ERRORS.get(report.status)
    if error is None:
        return
    reasons = " / ".join(_reasons(report))[:_REASONS_CHARACTERS].strip()
    end = "" if reasons.endswith((".", "?", "!")) else "."
    answer, new_run = _ADVICE[report.status]
    saved = f". The work so far is saved as {path}" if path else ""
    raise error(f"{_BEGINNINGS[report.status]}: {reasons}{end} {f'{answer} {command}' if command else new_run}{saved}")


def _reasons(report: AgentReport) -> Iterator[str]:
    """Yield why the agent cannot go on. Its questions are enough for an answer; what blocks it is in the summary."""
    requests = report.questions or report.not_done
    summary = one_line(report.summary)[:_ITEM_CHARACTERS]
    if summary and summary not in requests and (report.status is WorkStatus.BLOCKED or not requests):
        yield summary
    yield from requests


def _replies(value: object) -> Iterator[ReviewReply]:
    for reply in value[:_MAX_REPLIES] if isinstance(value, list) else ():
        if not isinstance(reply, dict):
            continue
        number, text = reply.get("comment"), reply.get("text")
        if type(number) is int and isinstance(text, str) and (plain := sanitize(text).strip()):
            yield ReviewReply(number, plain[:_REPLY_CHARACTERS], reply.get("changed") is True)


def _items(value: object) -> Iterator[str]:
    for item in value[:_MAX_ITEMS] if isinstance(value, list) else ():
        if isinstance(item, str) and (text := one_line(sanitize(item))):
            yield text[:_ITEM_CHARACTERS]
