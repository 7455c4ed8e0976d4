"""A follow-up continues the run of this program's own record, and its session only if it is the recorded one."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.logging import disable_run_logger

from flows.errors import BaseRefNotFound, InvalidFollowUp, NoSavedRun
from flows.instructions.files import Instructions
from flows.outcome.timing import StepTimes
from flows.parameters.follow_up import FollowUpParameters
from flows.parameters.pull_request import PullRequest
from flows.parameters.signature import RawParameters
from flows.reporting.follow_up import follow_up_advice
from flows.repository.clone import Checkout
from flows.repository.remote_refs import RemoteRefs
from flows.run.follow_up import set_up_follow_up
from flows.run.follow_up_request import begin_follow_up
from flows.run.pull_request import base_branch
from flows.run.run import FollowUpRun
from flows.run.setup import run_store
from flows.run.summary import run_summary
from flows.sandbox.user import AgentUser
from flows.sandbox.workspace import Workspace
from flows.state.branch_record import BranchRecords, session_digest
from flows.state.files import StateFile
from flows.state.records import Checkpoint, FinishedWork, Plan
from flows.state.saved_run import SavedRun
from flows.tasks.merge_base import with_base
from tests.support.finished_run import REPORT, commit
from tests.support.follow_up import review_of

SESSION = b'{"a": "conversation"}\n'


@pytest.fixture(autouse=True)
def without_a_run() -> Iterator[None]:
    with disable_run_logger():
        yield


@pytest.fixture
def url() -> str:
    """The URL of a repository that no other test uses, because the tests share the run store."""
    return f"https://github.com/o/{uuid4().hex}.git"


def finished_run(url: str, *, base: str = "0" * 40, commit: str = "c" * 40) -> str:
    """Save the state of a finished run on the branch `work`; return the run's id."""
    flow_run_id = str(uuid4())
    saved = SavedRun(run_store(flow_run_id))
    request = {"repo_url": url, "instructions": "Say hello.", "branch_name": "work", "provider": "anthropic"}
    saved.store.save(StateFile.REQUEST, json.dumps(request).encode())
    checkout, instructions = Checkout("work", "main", base), Instructions("inline", (), "", "")
    saved.save_plan(Plan(url, checkout, instructions, datetime(2026, 11, 28, tzinfo=UTC)))
    saved.store.save_sealed(StateFile.CHANGE, FinishedWork(commit, REPORT).pack())
    saved.store.save_sealed(StateFile.CHECKPOINT_0, Checkpoint(0, commit, {}, "the-session", session=SESSION).pack())
    return flow_run_id


def record(url: str, flow_run_id: str, number: int = 0, head: str = "c" * 40) -> None:
    BranchRecords(run_store("").files, url).save_push("work", flow_run_id, head, SESSION, number)


def set_up(folder: Path, monkeypatch: pytest.MonkeyPatch, **parameters: object) -> FollowUpRun:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-a-key-of-the-tests")
    raw = RawParameters(FollowUpParameters, parameters)
    return set_up_follow_up(raw, Workspace(folder, AgentUser(None, "")), StepTimes())


def page(url: str, number: int) -> str:
    return f"{url.removesuffix('.git')}/pull/{number}"


def test_a_pull_request_is_found_by_its_number_in_our_own_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    flow_run_id = finished_run(url)
    record(url, flow_run_id, 7)
    run = set_up(tmp_path, monkeypatch, pull_request_url=f"{page(url, 7)}/files#discussion_r1")
    assert (run.record.run_id, run.record.number) == (flow_run_id, 7)
    assert (run.request.branch_name, run.request.repo_url.url) == ("work", url)
    assert run.request.pull_request.pull_request == "ready"
    assert run.request.instructions == "Say hello."
    assert run.agent.session_id == "", "the agent has not begun, and has cost nothing"
    for address in (page(url, 7).replace("https", "http"), page(url, 7).replace("github.com", "GitHub.com:443")):
        assert set_up(tmp_path, monkeypatch, pull_request_url=address).record == run.record
    advice = (
        r"no run here has opened pull request 8.* deliver .* which takes it over; .*another address since, start implem"
    )
    with pytest.raises(NoSavedRun, match=advice):
        set_up(tmp_path, monkeypatch, pull_request_url=page(url, 8))


def test_a_run_is_continued_by_its_id_or_by_the_run_that_pushed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    first, second = finished_run(url), finished_run(url)
    assert set_up(tmp_path, monkeypatch, flow_run_id=first).record.run_id == first
    assert set_up(tmp_path, monkeypatch, flow_run_id=first).record.session == "", "nothing is recorded of its session"
    record(url, second, 7)
    run = set_up(tmp_path, monkeypatch, flow_run_id=first)
    assert (run.record.run_id, run.record.number) == (second, 7)


def test_a_follow_up_with_nothing_to_do_advises_a_run_that_can_be_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    flow_run_id = finished_run(url)
    record(url, flow_run_id, 7)
    run = set_up(tmp_path, monkeypatch, pull_request_url=page(url, 7))
    run.reviews.append(review_of())
    [advice] = follow_up_advice(run_summary(run))
    assert f'{{"flow_run_id": "{flow_run_id}"}}' in advice
    assert set_up(tmp_path, monkeypatch, flow_run_id=flow_run_id).record.number == 7


def test_what_cannot_be_continued_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    with pytest.raises(NoSavedRun, match="has no saved state here"):
        set_up(tmp_path, monkeypatch, flow_run_id=str(uuid4()))
    with pytest.raises(InvalidFollowUp, match="has pushed nothing"):
        set_up(tmp_path, monkeypatch, flow_run_id=finished_run(url, commit=""))


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> tuple[FollowUpRun, Plan]:
    """A follow-up whose branch is at the recorded commit, and its plan."""
    directories = Workspace(tmp_path, AgentUser(None, ""))
    directories.trusted.mkdir()
    base, head = commit(directories, a="one\n"), commit(directories, a="two\n")
    flow_run_id = finished_run(url, base=base, commit=head)
    record(url, flow_run_id, 7, head)
    run = set_up(tmp_path, monkeypatch, flow_run_id=flow_run_id)
    run.reviews.append(replace(review_of(("T_1", "C_1")), base="", request="> Why?\n"))
    assert run.earlier.plan is not None
    return run, replace(run.earlier.plan, checkout=Checkout("work", "work", head))


def test_the_text_goes_to_the_pull_request_that_was_read_also_if_a_person_has_changed_its_base(
    prepared: tuple[FollowUpRun, Plan],
) -> None:
    run, plan = prepared
    request = run.request.model_copy(update={"pull_request": PullRequest(pull_request_base="main")})
    run = replace(run, request=request)
    refs = RemoteRefs({"main": "a" * 40, "release": "b" * 40, "work": "c" * 40}, "main")
    assert base_branch(run, plan.checkout, refs) == "main"
    run.reviews[:] = [replace(run.reviews[0], base="release")]
    assert base_branch(run, plan.checkout, refs) == "release"


def test_the_recorded_session_is_continued_with_a_budget_of_its_own(prepared: tuple[FollowUpRun, Plan]) -> None:
    run, plan = prepared
    request = begin_follow_up(run, plan)
    assert (run.agent.session_id, run.agent.conversation) == ("the-session", SESSION)
    assert run.agent.meter.spent_usd == 0
    assert (request.change, request.has_comments, run.warnings) == ("", True, [])


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("session", "is not the one that was saved when it pushed"),
        ("no digest", "has saved no session"),
        ("no session", "has saved no session"),
        ("branch", "work was moved to"),
        ("repository", "worked on another repository"),
    ],
)
def test_another_session_is_not_continued_and_the_new_one_knows_the_change(
    prepared: tuple[FollowUpRun, Plan], fault: str, reason: str
) -> None:
    run, plan = prepared
    checkpoint = run.earlier.checkpoint
    assert checkpoint is not None
    if fault == "session":
        run.earlier.checkpoint = replace(checkpoint, session=SESSION + b'{"push": "a secret"}\n')
    if fault == "no session":
        run.earlier.checkpoint = None
    if fault == "no digest":
        run = replace(run, record=replace(run.record, session=""))
    if fault == "branch":
        run = replace(run, record=replace(run.record, head="f" * 40))
    if fault == "repository":
        assert run.earlier.plan is not None
        run.earlier.plan = replace(run.earlier.plan, repo_url="https://github.com/o/other")
    request = begin_follow_up(run, plan)
    assert (run.agent.session_id, run.agent.conversation) == ("", b"")
    [warning] = run.warnings
    assert reason in warning
    assert "+two" in request.change
    assert begin_follow_up(run, plan) == request
    assert len(run.warnings) == 1, "it is said once"


def test_a_branch_is_not_said_to_have_moved_since_a_push_that_never_was(prepared: tuple[FollowUpRun, Plan]) -> None:
    run, plan = prepared
    run = replace(run, record=replace(run.record, head="f" * 40, pushed_at=""))
    begin_follow_up(run, plan)
    [warning] = run.warnings
    assert "moved" not in warning
    assert f"no push of the run's own commit {'f' * 12} is recorded" in warning


def test_a_branch_that_was_deleted_in_between_is_not_begun_again(prepared: tuple[FollowUpRun, Plan]) -> None:
    run, _ = prepared
    no_credentials: Any = None
    with pytest.raises(BaseRefNotFound, match="'work' was deleted"):
        with_base(run, no_credentials, Checkout("work", "main", "a" * 40))


def test_the_digest_is_that_of_the_session_as_it_is_saved() -> None:
    assert session_digest(SESSION) != session_digest(SESSION + b"x")
