"""A run with finished work whose instructions are issue 12 of a stand-in."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from flows.instructions.files import Instructions, IssueSource
from flows.outcome.pull_request import PullRequestResult
from flows.repository.clone import Checkout
from flows.repository.collect import Change
from flows.run.run import Run
from flows.sandbox.workspace import Workspace
from flows.state.agent_report import WorkStatus
from tests.support.finished_run import open_run
from tests.support.forges.fixtures import issue_url, parameters_for
from tests.support.forges.review_state import StoredIssue
from tests.support.forges.stand_in import ForgeStandIn

RUN: Final = "the-run"
PUSHED: Final = Change("b" * 40, Checkout("work", "main", "a" * 40))
PULL_REQUEST: Final = "https://forge.example.com/acme/widgets/pull/1"


def issue_of(forge: ForgeStandIn, **changes: Any) -> IssueSource:  # noqa: ANN401 (of any type)
    """Return what a run remembers of issue 12."""
    url = issue_url(forge)
    repository = forge.repo_url.removesuffix(".git")
    return replace(IssueSource(repository, 12, url, "#12", "ada (id 11), who may push to the repository"), **changes)


def open_issue_run(
    directories: Workspace,
    store: Path,
    forge: ForgeStandIn,
    status: WorkStatus = WorkStatus.DONE,
    not_done: tuple[str, ...] = (),
    **changes: Any,  # noqa: ANN401 (of any type)
) -> Run:
    """Return a run that has opened a pull request. The stand-in has the issue."""
    forge.reviews.issues[:] = [StoredIssue(12, "Say hello", "In hello.txt")]
    run = open_run(directories, store, PUSHED.checkout, **{**parameters_for(forge), "instructions": issue_url(forge)})
    saved = run.saved
    assert saved.plan
    assert saved.finished
    assert saved.finished.report
    issue = issue_of(forge, **changes)
    instructions = Instructions(issue.url, (), "issue-12.md", "> Say hello", issue)
    saved.plan = replace(saved.plan, instructions=instructions)
    report = replace(saved.finished.report, status=status, not_done=not_done)
    saved.finished = replace(saved.finished, report=report)
    run.pull_requests.append(PullRequestResult(PULL_REQUEST, 1, state="open"))
    return run
