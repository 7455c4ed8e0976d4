"""A run that is killed while it answers a review has one answer in each thread, and one summary, in the end."""

import os
import signal
import threading
import time
import traceback
from dataclasses import replace
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
from tests.support.forges.stand_in import EMAIL, TOKEN, ForgeStandIn
from tests.support.forges.stand_ins import STAND_INS, open_stand_in_reviews

REPLIES: Final = (ReviewReply(1, "Renamed it.", is_changed=True), ReviewReply(2, "It is faster."))
PUSHED: Final = Change("b" * 40, Checkout("work", "work", HEAD))
WRITES: Final = 3


def attempt(forge: ForgeStandIn, run: FollowUpRun, number: int = 0, moment: str = "") -> int:
    """Execute the step in a process of its own, which is killed at one of its writes; return its exit status."""
    threads, begun = set(threading.enumerate()), len(forge.writes())
    start, go = os.pipe()
    pid = os.fork()
    if not pid:
        os.read(start, 1)
        _execute(run)

    def kill(now: str) -> None:
        if (len(forge.writes()) - begun, now) == (number, moment):
            os.kill(pid, signal.SIGKILL)
            if now == "before":
                raise ConnectionAbortedError

    forge.on_write = kill
    os.write(go, b"x")
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(go)
    os.close(start)
    while set(threading.enumerate()) - threads:  # until the forge has handled each request of the process
        time.sleep(0.001)
    return status


def _execute(run: FollowUpRun) -> None:
    try:
        vars(step)["newest_credentials"] = lambda _run, credentials: credentials  # there is no AWS
        run.saved.store = replace(run.saved.store, attempt=str(os.getpid()))
        run.saved.store.take_lease()
        step.answer_review.fn(run, GitCredentials(SecretStr(TOKEN), EMAIL), PUSHED)
        os._exit(0)
    except BaseException:  # noqa: BLE001 (a fork must not go on as pytest)
        traceback.print_exc()
    finally:
        os._exit(1)


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
                assert attempt(forge, run, number, moment) == -signal.SIGKILL, (number, moment)
                assert attempt(forge, run) == 0, (number, moment)
                own = [comment.text for comment in forge.reviews.own_comments]
                assert len(own) == len(set(own)) == WRITES, (number, moment, own)
                for words in ("Renamed it.", "It is faster.", "Why it is so."):
                    assert sum(words in text for text in own) == 1, (number, moment)
        forge.check_contract()
