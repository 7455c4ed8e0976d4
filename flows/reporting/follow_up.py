"""Writes how to let a run follow up on the review of a branch."""

from collections.abc import Iterator
from typing import Final

from flows.outcome.summary import RunSummary
from flows.reporting.commands import follow_up_command
from flows.reporting.markdown import code

_PARAMETER: Final = "reviewers_heard"


def follow_up_advice(summary: RunSummary) -> Iterator[str]:
    """Yield how to let a run follow up on what reviewers write."""
    result, review = summary.pull_request, summary.review
    if review and review.unheard:
        yield f"{review.unheard_text}: the section *Comments that were not heard* says why."
        if any(_PARAMETER in line for line in review.unheard):
            ids = {_PARAMETER: ["…"]}
            command = code(follow_up_command(summary.deployment, summary.change_run_id, ids))
            yield f"To hear an account where that section names {code(_PARAMETER)}, start a run with its id: {command}"
    if review or (result and result.url):
        command = code(follow_up_command(summary.deployment, summary.change_run_id))
        yield f"When reviewers have commented, this lets Claude change what they ask for, and answers them: {command}"
