"""A run that is killed while it answers a review has one answer in each thread, and one summary, in the end."""

import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from prefect.logging import disable_run_logger
from pydantic import SecretStr

from flows.certificates import git_server_certificates
from flows.repository.clone import Checkout
from flows.repository.collect import Change
from flows.repository.credentials import GitCredentials
from flows.run.run import FollowUpRun
from flows.sandbox.workspace import workspace
from flows.state.agent_report import ReviewReply
from flows.tasks import reply as step
from tests.support.follow_up import HEAD, open_follow_up, review_of
from tests.support.forges.killed_process import attempt
from tests.support.forges.stand_in import EMAIL, TOKEN, ForgeStandIn
from tests.support.forges.stand_ins import STAND_INS, open_stand_in_reviews

REPLIES: Final = (ReviewReply(1, "Renamed it.", is_changed=True), ReviewReply(2, "It is faster."))
PUSHED: Final = Change("b" * 40, Checkout("work", "work", HEAD))
WRITES: Final = 3


def execute(run: FollowUpRun) -> None:
    """Execute the step as a new attempt of the run."""
    vars(step)["newest_credentials"] = lambda _run, credentials: credentials  # there is no AWS
    run.saved.store = replace(run.saved.store, attempt=str(os.getpid()))
    run.saved.store.take_lease()
    step.answer_review.fn(run, GitCredentials(SecretStr(TOKEN), EMAIL), PUSHED)


@pytest.mark.parametrize("kind", STAND_INS, ids=[kind.name for kind in STAND_INS])
def test_a_process_that_is_killed_at_a_write_leads_to_one_answer_in_each_thread(
    kind: type[ForgeStandIn], tmp_path: Path
) -> None:
    git_server_certificates()  # which otherwise each process would load
    with kind() as forge, workspace() as directories, disable_run_logger():
        forge.add("a title", "a body", "work", "main")
        forge.reviews.say("ada", "1 rename it", 1, path="a.py", line=3)
        forge.reviews.say("grace", "2 why?", 2)
        with open_stand_in_reviews(forge) as api:
            rows = [(each.comments[0].text, each.id, each.comments[0].id) for each in api.threads(1).threads]
        review = review_of(*((thread, comment) for _, thread, comment in sorted(rows)))
        asked = list(forge.reviews.comments)
        for number in range(1, WRITES + 1):
            for moment in ("before", "after"):
                forge.reviews.comments[:] = asked
                run = open_follow_up(directories, tmp_path / f"{number}-{moment}", forge, REPLIES, review)
                assert attempt(forge, partial(execute, run), number, moment) == -signal.SIGKILL, (number, moment)
                assert attempt(forge, partial(execute, run)) == 0, (number, moment)
                own = [comment.text for comment in forge.reviews.own_comments]
                assert len(own) == len(set(own)) == WRITES, (number, moment, own)
                for words in ("Renamed it.", "It is faster.", "Why it is so."):
                    assert sum(words in text for text in own) == 1, (number, moment)
        forge.check_contract()
