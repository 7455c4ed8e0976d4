"""Prints what `python -m flows` says last: the result on standard output, and what went wrong on standard error."""

import json
import sys

from flows.outcome.result import Outcome, RunResult, last_words
from flows.outcome.verification import VerificationResult, result_text
from flows.verification.results import Status


def print_result(result: RunResult, *, as_json: bool) -> None:
    """Print the result as one JSON object, or as lines for people."""
    if as_json:
        print(json.dumps(result.as_json()))
    if result.error:
        print(last_words(result.error), file=sys.stderr)
    elif result.outcome is Outcome.INTERRUPTED:
        print(
            f"interrupted: the agent was stopped. Its changes, if any, are saved in {result.saved_in}: to see them, "
            "git fetch from the file change.bundle in that folder; to push them, run the flow deliver with "
            f"flow_run_id={result.flow_run_id}",
            file=sys.stderr,
        )
    elif not as_json:
        _print_completed(result)


def _print_completed(result: RunResult) -> None:
    answers = f"answered {result.answers} thread{'' if result.answers == 1 else 's'} of the review"
    if not result.commit:
        nothing = "the agent changed nothing" if result.turns else "nobody has asked for anything new"
        reason = answers if result.answers else nothing
        print(f"completed: {reason}, so branch {result.branch} was not pushed{_unheard(result)}")
        return
    verification = result.verification or VerificationResult(Status.NOT_ASKED)
    text = result_text(verification.status, verification.repairs)
    verified = "" if verification.status is Status.NOT_ASKED else f", {text}"
    answered = f", {answers}" if result.answers else ""
    print(f"completed: branch {result.branch} commit {result.commit}{verified}{answered}{_unheard(result)}")
    if request := result.pull_request:
        print(f"pull request: {request.url}{request.note}" if request.url else f"no pull request: {request.fault}")


def _unheard(result: RunResult) -> str:
    """Return a clause about the comments that were not heard; empty if all were."""
    count = len(result.unheard)
    return f"; {count} {'comment was' if count == 1 else 'comments were'} not heard: see the report" if count else ""
