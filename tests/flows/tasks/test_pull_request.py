"""What the run says about its pull request if the forge refuses is what is true."""

import logging
from pathlib import Path

import pytest
from prefect.logging import disable_run_logger

from flows.errors import ForgePermissionMissing
from flows.repository.clone import Checkout
from flows.repository.collect import Change
from flows.sandbox.workspace import workspace
from flows.state.pull_request_record import PullRequestRecord
from flows.tasks.pull_request import result_of_failure
from tests.support.finished_run import open_run

RECORD = {"number": 7, "url": "https://github.com/o/r/pull/7", "head": "work", "base": "main"}
ERROR = ForgePermissionMissing("the git token may not update pull request 7")


@pytest.mark.parametrize(
    ("record", "base", "has_one"),
    [
        (RECORD, "", True),
        (RECORD, "main", True),
        (RECORD, "release", False),
        ({**RECORD, "head": "other"}, "", False),
        (None, "", False),
    ],
    ids=["known", "same base", "another base", "another branch", "none"],
)
def test_a_failed_update_does_not_deny_the_request(
    tmp_path: Path, record: dict[str, object] | None, base: str, *, has_one: bool
) -> None:
    checkout = Checkout("work", "main", "a" * 40)
    parameters = {"pull_request": {"pull_request": "ready", "pull_request_base": base}}
    with workspace() as directories, disable_run_logger():
        run = open_run(directories, tmp_path, checkout, **parameters)
        if record:
            PullRequestRecord(run.saved.store, logging.getLogger()).save(record)
        result = result_of_failure(run, Change("c" * 40, checkout), ERROR)
    fault = f"ForgePermissionMissing: {ERROR.sentences}"
    if has_one:
        assert (result.url, result.number, result.fault) == (RECORD["url"], 7, "")
        assert result.refusals == (f"it is not brought up to date: {fault}",)
    else:
        assert (result.url, result.fault, result.refusals) == ("", fault, ())
