"""The step `review` says what cannot be followed up, before anything is spent."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prefect.logging import disable_run_logger
from pydantic import SecretStr

from flows.errors import InvalidFollowUp
from flows.parameters.pull_request import PullRequest
from flows.repository.credentials import GitCredentials
from flows.run.run import FollowUpRun
from flows.sandbox.workspace import Workspace, workspace
from flows.tasks import review as step
from tests.support.follow_up import HEAD, REQUESTED_AT, open_follow_up
from tests.support.forges.github import GitHubStandIn
from tests.support.forges.stand_in import EMAIL, TOKEN, ForgeStandIn

CREDENTIALS = GitCredentials(SecretStr(TOKEN), EMAIL)


@pytest.fixture(autouse=True)
def directories(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """The directories of a run whose remote has two branches."""
    refs: Any = type("Refs", (), {"branches": {"work": HEAD, "main": "0" * 40}, "default_branch": "main"})
    remote: Any = type("Remote", (), {"refs": lambda _self: refs})
    monkeypatch.setattr(step, "remote", lambda _run, _credentials: remote())
    monkeypatch.setattr(step, "requested_at", lambda: REQUESTED_AT)
    with workspace() as directories, disable_run_logger():
        yield directories


@pytest.fixture
def forge() -> Iterator[ForgeStandIn]:
    with GitHubStandIn() as stand_in:
        yield stand_in


def refusal(run: FollowUpRun) -> str:
    with pytest.raises(InvalidFollowUp) as error:
        step.read_review.fn(run, CREDENTIALS)
    return str(error.value)


@pytest.mark.parametrize(
    ("state", "advice"),
    [
        ("closed", "pull request 1 is closed: reopen it, or start a new run of implement"),
        ("merged", "pull request 1 is merged: start a new run of implement"),
    ],
)
def test_a_pull_request_that_is_not_open_is_refused(
    directories: Workspace, tmp_path: Path, forge: ForgeStandIn, state: str, advice: str
) -> None:
    forge.add("a title", "a body", "work", "main")
    forge.pull_requests[0].state = state
    assert refusal(open_follow_up(directories, tmp_path, forge)) == advice


@pytest.mark.parametrize("is_wanted", [True, False])
def test_without_a_pull_request_somebody_has_to_say_what_to_do(
    directories: Workspace, tmp_path: Path, forge: ForgeStandIn, *, is_wanted: bool
) -> None:
    run = open_follow_up(directories, tmp_path, forge)
    kind = "ready" if is_wanted else "never"
    request = run.request.model_copy(update={"pull_request": PullRequest(pull_request=kind)})
    run = replace(run, request=request, record=replace(run.record, number=0))
    assert "so there is no review: say in instructions what to do, or run deliver" in refusal(run)
    run = replace(run, parameters=run.parameters.model_copy(update={"instructions": "Say good day."}))
    assert step.read_review.fn(run, CREDENTIALS).number == 0
