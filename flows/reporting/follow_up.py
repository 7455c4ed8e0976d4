"""Writes how to let a run follow up on the review of a branch."""

from collections.abc import Iterator

from flows.outcome.summary import RunSummary
from flows.reporting.commands import follow_up_command
from flows.reporting.markdown import code


def follow_up_advice(summary: RunSummary) -> Iterator[str]:
    """Yield how to let a run follow up on what reviewers write."""
    result, review = summary.pull_request, summary.review
    if review and review.unheard:
        yield (
            f"{len(review.unheard)} comments were not heard; the section below says why. To hear accounts whose right "
            "to push the git host does not tell, list their ids in the parameter reviewers_heard."
        )
    if review or (result and result.url):
        command = code(follow_up_command(summary.deployment, summary.change_run_id))
        yield f"When reviewers have commented, this lets Claude change what they ask for, and answers them: {command}"
