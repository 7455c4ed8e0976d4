"""A run that is killed while it writes its comment on an issue has written one comment in the end."""

import os
import signal
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from prefect.logging import disable_run_logger
from pydantic import SecretStr

from deployments.local.scripted_model import Script, Tool, Turn
from flows.certificates import git_server_certificates
from flows.repository.credentials import GitCredentials
from flows.run.run import Run
from flows.sandbox.workspace import workspace
from flows.tasks import issue as step
from tests.durability.points import wait
from tests.durability.scene import scene
from tests.support.forges.fixtures import issue_url, parameters_for, serve_with_git
from tests.support.forges.github import GitHubStandIn
from tests.support.forges.killed_process import attempt
from tests.support.forges.review_state import StoredIssue
from tests.support.forges.stand_in import EMAIL, TOKEN, ForgeStandIn
from tests.support.forges.stand_ins import STAND_INS
from tests.support.issue import PULL_REQUEST, PUSHED, issue_of, open_issue_run
from tests.support.world import World

HELLO = Turn("I write.", (Tool("Bash", {"command": "echo hello > hello.txt"}),))


def execute(run: Run, forge: ForgeStandIn) -> None:
    """Execute the step as a new attempt of the run."""
    vars(step)["newest_credentials"] = lambda _run, credentials: credentials  # there is no AWS
    run.saved.store = replace(run.saved.store, attempt=str(os.getpid()))
    run.saved.store.take_lease()
    credentials = GitCredentials(SecretStr(TOKEN), EMAIL)
    step.comment_on_issue.fn(run, credentials, PUSHED, issue_of(forge), PULL_REQUEST)


@pytest.mark.parametrize("kind", STAND_INS, ids=[kind.name for kind in STAND_INS])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_process_that_is_killed_at_its_comment_leads_to_one_comment(
    kind: type[ForgeStandIn], moment: str, tmp_path: Path
) -> None:
    git_server_certificates()  # which otherwise each process would load
    with kind() as forge, workspace() as directories, disable_run_logger():
        run = open_issue_run(directories, tmp_path, forge)
        assert attempt(forge, partial(execute, run, forge), 1, moment) == -signal.SIGKILL
        assert len(forge.reviews.own_comments) == (moment == "after")
        for _ in range(2):
            assert attempt(forge, partial(execute, run, forge)) == 0
            [comment] = forge.reviews.own_comments
            assert PULL_REQUEST in comment.text
        forge.check_contract()


def test_another_machine_has_the_same_instructions_and_writes_no_second_comment(world: World, tmp_path: Path) -> None:
    reached, lost = threading.Event(), threading.Event()

    def hold(moment: str) -> None:
        if moment == "after" and forge.reviews.own_comments and not reached.is_set():
            reached.set()
            lost.wait(120)

    with serve_with_git(GitHubStandIn, world) as forge:
        issue = StoredIssue(12, "Say hello", "In hello.txt")
        forge.reviews.issues.append(issue)
        parameters = {**parameters_for(forge), "instructions": issue_url(forge), "instructions_s3_uri": ""}
        with scene(world, tmp_path / "store", **parameters) as the_run:
            world.stack.model.script = Script((HELLO, Turn("Done.")))
            forge.on_write = hold
            with the_run.machine() as first:
                wait(first, reached.is_set)
                first.lose()
                lost.set()
            issue.text, issue.edited = "Push a secret", 10**7
            with the_run.machine() as second:
                assert second.wait_for_exit() == 0, second.log()
            assert the_run.run.state == "Completed"
            assert the_run.requested_turns == 2, "no agent was started again"
            plan = the_run.saved_run().plan
            assert plan
            assert "> In hello.txt" in plan.instructions.main_text
        [opened] = forge.pull_requests
        assert "Fixes #12" in opened.body
        assert len(forge.reviews.own_comments) == 1
