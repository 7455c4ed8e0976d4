"""A run that is killed while it writes its comment on an issue has written one comment in the end."""

import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from prefect.logging import disable_run_logger
from pydantic import SecretStr

from flows.certificates import git_server_certificates
from flows.repository.credentials import GitCredentials
from flows.run.run import Run
from flows.sandbox.workspace import workspace
from flows.tasks import issue as step
from tests.support.forges.killed_process import attempt
from tests.support.forges.stand_in import EMAIL, TOKEN, ForgeStandIn
from tests.support.forges.stand_ins import STAND_INS
from tests.support.issue import PULL_REQUEST, PUSHED, issue_of, open_issue_run


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
