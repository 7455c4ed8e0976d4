"""A run reads its issue once, and writes one comment on it, with the link to its pull request."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from prefect.logging import disable_run_logger
from pydantic import SecretStr

from flows.errors import ForgeUnavailable, IssueNotFound, RepositoryNotAllowed
from flows.outcome.pull_request import PullRequestResult
from flows.repository.binding import Binding
from flows.repository.credentials import GitCredentials
from flows.run.run import Run
from flows.sandbox.workspace import Workspace, workspace
from flows.state.agent_report import WorkStatus
from flows.state.files import StateFile
from flows.tasks import instructions as instructions_step
from flows.tasks import issue as step
from tests.support.finished_run import open_run
from tests.support.follow_up import open_follow_up
from tests.support.forges.fixtures import issue_url, parameters_for
from tests.support.forges.github import GitHubStandIn
from tests.support.forges.review_state import StoredIssue
from tests.support.forges.stand_in import EMAIL, TOKEN, Fault, ForgeStandIn, Reply
from tests.support.forges.stand_ins import STAND_INS
from tests.support.issue import PULL_REQUEST, PUSHED, RUN, issue_of, open_issue_run

each_forge = pytest.mark.parametrize("kind", STAND_INS, ids=[kind.name for kind in STAND_INS])
CREDENTIALS = GitCredentials(SecretStr(TOKEN), EMAIL)


@pytest.fixture(autouse=True)
def directories(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setattr(step, "newest_credentials", lambda _run, credentials: credentials)
    monkeypatch.setattr(step, "requested_at", lambda: "2026-11-28T11:00:00+00:00")
    with workspace() as directories, disable_run_logger():
        yield directories


def read(directories: Workspace, store: Path, forge: ForgeStandIn, url: str, *heard: str) -> Run:
    """Return a run that has read the issue at this address."""
    forge.reviews.issues[:] = [StoredIssue(12, "Say hello", "In hello.txt")]
    run = open_run(
        directories, store, PUSHED.checkout, **{**parameters_for(forge), "instructions": url, "reviewers_heard": heard}
    )
    assert run.saved.plan
    run.saved.plan = None
    return run


def tell(run: Run, forge: ForgeStandIn) -> None:
    step.comment_on_issue.fn(run, CREDENTIALS, PUSHED, issue_of(forge), PULL_REQUEST)


@each_forge
def test_the_issue_of_a_run_is_read(kind: type[ForgeStandIn], directories: Workspace, tmp_path: Path) -> None:
    with kind() as forge:
        heard = [str(forge.reviews.account_id("ada"))]
        run = read(directories, tmp_path, forge, issue_url(forge), *heard)
        forge.reviews.say("ada", "in French", number=12, is_on_issue=True)
        instructions = instructions_step.fetch_instructions.fn(run, CREDENTIALS)
        assert instructions.issue
        assert instructions.issue.reference == "#12"
        assert instructions.source == issue_url(forge)
        assert "> Say hello" in instructions.main_text
        assert "> in French" in instructions.main_text
        assert not forge.writes()
        forge.check_contract()


@each_forge
def test_an_issue_that_does_not_exist_ends_the_run(
    kind: type[ForgeStandIn], directories: Workspace, tmp_path: Path
) -> None:
    with kind() as forge:
        run = read(directories, tmp_path, forge, issue_url(forge, 13))
        with pytest.raises(IssueNotFound, match="issue 13"):
            instructions_step.fetch_instructions.fn(run, CREDENTIALS)


def test_an_issue_of_another_repository_is_judged_by_who_may_push_to_the_runs_own(
    directories: Workspace, tmp_path: Path
) -> None:
    with GitHubStandIn() as forge:
        forge.reviews.repositories.add("acme/tracker")
        run = read(directories, tmp_path, forge, issue_url(forge, repository="acme/tracker"))
        forge.reviews.say("ada", "in French", number=12, is_on_issue=True)
        issue = instructions_step.fetch_instructions.fn(run, CREDENTIALS).issue
        assert issue
        assert (issue.reference, issue.repository) == ("acme/tracker#12", f"{forge.url}/acme/tracker")
        asked = [request.path for request in forge.requests if request.path.endswith("/permission")]
        assert asked == ["/api/v3/repos/acme/widgets/collaborators/ada/permission"]
        forge.check_contract()


@pytest.mark.parametrize("repository", ["acme/tracker", "other/tracker"], ids=["neighbour", "other owner"])
@pytest.mark.parametrize("binding", ["none", "own", "both"])
def test_the_token_goes_to_another_repository_only_if_it_is_for_it(
    binding: str, repository: str, directories: Workspace, tmp_path: Path
) -> None:
    with GitHubStandIn() as forge:
        forge.reviews.repositories.add(repository)
        own = f"{forge.url}/acme/widgets"
        listed = {"none": None, "own": (own,), "both": (own, f"{forge.url}/{repository}")}[binding]
        credentials = GitCredentials(SecretStr(TOKEN), EMAIL, bindings=(Binding(repositories=listed),))
        run = read(directories, tmp_path, forge, issue_url(forge, repository=repository))
        if binding == "both" or (binding, repository) == ("none", "acme/tracker"):
            assert instructions_step.fetch_instructions.fn(run, credentials).issue
            return
        with pytest.raises(RepositoryNotAllowed, match=repository):
            instructions_step.fetch_instructions.fn(run, credentials)
        assert not forge.requests


@pytest.mark.parametrize(
    ("status", "is_partly_done"), [(WorkStatus.DONE, False), (WorkStatus.PARTLY, True)], ids=["done", "partly"]
)
def test_a_follow_up_does_not_close_an_issue_that_was_left_partly_undone(
    status: WorkStatus,
    directories: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_partly_done: bool,
) -> None:
    with GitHubStandIn() as forge:
        earlier = open_issue_run(directories, tmp_path, forge, status).saved
        run = replace(open_follow_up(directories, tmp_path, forge), earlier=earlier)
        run.saved.plan = None
        monkeypatch.setattr(instructions_step, "_restore", lambda *_: True)  # there are no files
        issue = instructions_step.fetch_instructions.fn(run, CREDENTIALS).issue
        assert issue == issue_of(forge, is_partly_done=is_partly_done)
        assert not forge.requests


@each_forge
def test_an_issue_gets_one_comment_with_the_link(
    kind: type[ForgeStandIn], directories: Workspace, tmp_path: Path
) -> None:
    with kind() as forge:
        run = open_issue_run(directories, tmp_path, forge)
        tell(run, forge)
        [comment] = forge.reviews.own_comments
        assert (comment.number, comment.is_on_issue) == (12, True)
        url = f'<a href="{PULL_REQUEST}">{PULL_REQUEST}</a>' if kind.name == "azure" else PULL_REQUEST
        assert f"A pull request for this issue: {url}" in comment.text
        assert "not do all" not in comment.text
        requests = len(forge.requests)
        tell(run, forge)
        assert len(forge.requests) == requests, "the run knows that it has written it"
        run.saved.store.save(StateFile.ISSUE, b"")
        tell(run, forge)
        assert forge.reviews.own_comments == [comment], "the forge knows it"
        forge.check_contract()


@each_forge
def test_a_lost_answer_leads_to_no_second_comment(
    kind: type[ForgeStandIn], directories: Workspace, tmp_path: Path
) -> None:
    with kind() as forge:
        run = open_issue_run(directories, tmp_path, forge)
        forge.faults.append(Fault("POST .*(comments|notes)"))
        with pytest.raises(ForgeUnavailable):
            tell(run, forge)
        tell(run, forge)
        assert len(forge.reviews.own_comments) == 1


@each_forge
def test_a_comment_of_another_run_or_of_another_account_does_not_count(
    kind: type[ForgeStandIn], directories: Workspace, tmp_path: Path
) -> None:
    with kind() as forge:
        run = open_issue_run(directories, tmp_path, forge)
        tell(run, forge)
        [comment] = forge.reviews.own_comments
        text = comment.text
        comment.text = text.replace(RUN, "another-run")
        forge.reviews.say("stranger", text, number=12, is_on_issue=True)
        run.saved.store.save(StateFile.ISSUE, b"")
        tell(run, forge)
        assert len([each for each in forge.reviews.own_comments if RUN in each.text]) == 1


@pytest.mark.parametrize(
    ("status", "not_done"),
    [(WorkStatus.PARTLY, ()), (WorkStatus.DONE, ("the tests",)), (WorkStatus.UNKNOWN, ())],
    ids=["partly", "something undone", "nothing said"],
)
def test_a_comment_about_partial_work_says_so(
    status: WorkStatus, not_done: tuple[str, ...], directories: Workspace, tmp_path: Path
) -> None:
    with GitHubStandIn() as forge:
        tell(open_issue_run(directories, tmp_path, forge, status, not_done), forge)
        [comment] = forge.reviews.own_comments
        assert "It does not do all that the issue asks for." in comment.text


def test_a_refusal_is_a_warning_that_says_what_to_do(
    directories: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "comment_on_issue", step.comment_on_issue.fn)
    monkeypatch.setattr(step, "get_run_logger", lambda: logging.getLogger(__name__))
    with GitHubStandIn() as forge:
        run = open_issue_run(directories, tmp_path, forge)
        refusal = Reply(403, {"message": "Resource not accessible by personal access token"})
        forge.faults.append(Fault("POST .*/issues/12/comments", refusal))
        step.tell_issue(run, CREDENTIALS, PUSHED)
        [warning] = run.warnings
        assert "(ForgePermissionMissing: " in warning
        assert warning.endswith("run deliver, which writes it")
        step.tell_issue(run, CREDENTIALS, PUSHED)
        assert len(forge.reviews.own_comments) == 1, "a later attempt writes it"


@pytest.mark.parametrize("lacks", ["pull request", "link", "issue"])
def test_a_run_without_a_pull_request_or_an_issue_writes_nothing(
    lacks: str, directories: Workspace, tmp_path: Path
) -> None:
    with GitHubStandIn() as forge:
        run = open_issue_run(directories, tmp_path, forge)
        assert run.saved.plan
        if lacks == "issue":
            plan = run.saved.plan
            run.saved.plan = replace(plan, instructions=replace(plan.instructions, issue=None))
        else:
            run.pull_requests[:] = [] if lacks == "pull request" else [PullRequestResult(fault="no branch")]
        step.tell_issue(run, CREDENTIALS, PUSHED)
        assert not forge.requests
