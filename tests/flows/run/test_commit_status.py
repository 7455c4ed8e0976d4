"""The status of a commit says what its verification found, and is never left at pending by a run that is stopped."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.logging import disable_run_logger

from flows.errors import ForgeUnavailable
from flows.repository.clone import Checkout
from flows.repository.collect import Change
from flows.run.commit_status import commit_status
from flows.run.run import Run
from flows.sandbox.workspace import workspace
from flows.state.verifications import Round, Verifications
from flows.verification.results import CommandResult, Verdict, Verification
from tests.support.finished_run import open_run
from tests.support.forges.fixtures import serve
from tests.support.forges.github import GitHubStandIn
from tests.support.forges.stand_in import Fault, Reply
from tests.support.forges.stand_ins import STAND_INS

CHECKED = Checkout("work", "main", "a" * 40, verify_commands="npm test")
CHANGE = Change("c" * 40, CHECKED)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with workspace() as directories, disable_run_logger():
        yield open_run(directories, tmp_path, CHECKED)


def verify(run: Run, verdict: Verdict, *changed_checks: str) -> None:
    result = CommandResult("npm test", verdict, 0 if verdict is Verdict.PASSED else 1, 1.0)
    failures = (result,) if verdict is Verdict.FAILED else ()
    verification = Verification("tree", (result,), changed_checks=changed_checks, failures=failures)
    run.saved.verifications = Verifications((Round(0, ("npm test",), CHANGE.commit, verification),))


@pytest.mark.parametrize(
    ("verdict", "changed_checks", "expected"),
    [
        (Verdict.PASSED, (), "success"),
        (Verdict.PASSED, ("package.json",), "failure"),
        (Verdict.FAILED_BEFORE, (), "failure"),
        (Verdict.FAILED, (), "failure"),
        (None, (), "failure"),
    ],
    ids=["verified", "checks changed", "failed before", "failed", "not run"],
)
def test_only_a_verified_commit_succeeds(
    run: Run, verdict: Verdict | None, changed_checks: tuple[str, ...], expected: str
) -> None:
    if verdict:
        verify(run, verdict, *changed_checks)
    with serve(GitHubStandIn) as (forge, api):
        with commit_status(api, run, CHANGE):
            assert [each["state"] for each in forge.statuses] == ["pending"]
        assert [(each["sha"], each["state"]) for each in forge.statuses[1:]] == [(CHANGE.commit, expected)]


@pytest.mark.parametrize("kind", STAND_INS, ids=[kind.name for kind in STAND_INS])
def test_a_run_that_is_stopped_leaves_no_pending_status(run: Run, kind: type) -> None:
    verify(run, Verdict.PASSED)
    with serve(kind) as (forge, api):
        with pytest.raises(KeyboardInterrupt), commit_status(api, run, CHANGE):
            raise KeyboardInterrupt
        assert forge.statuses[-1]["state"].lower() in {"error", "failed"}
        with pytest.raises(ForgeUnavailable), commit_status(api, run, CHANGE):
            raise ForgeUnavailable("the pull request was not opened")
        assert forge.statuses[-1]["state"].lower() in {"success", "successful", "succeeded"}


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let SIGINT interrupt the test. A shell that starts the suite in the background makes its processes ignore it."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [1, 2], ids=["pending", "final"])
def test_a_run_that_is_stopped_while_it_sets_a_status_leaves_no_pending_one(run: Run, number: int) -> None:
    verify(run, Verdict.PASSED)
    with serve(GitHubStandIn) as (forge, api):

        def interrupt(moment: str) -> None:
            if (moment, len(forge.writes())) == ("after", number):
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        forge.on_write = interrupt
        with pytest.raises(KeyboardInterrupt), commit_status(api, run, CHANGE):
            pass
        assert [each["state"] for each in forge.statuses] == ["pending", *["success"][: number - 1], "error"]


def test_a_token_that_may_set_no_status_loses_nothing_and_is_asked_once(run: Run) -> None:
    verify(run, Verdict.PASSED)
    with serve(GitHubStandIn) as (forge, api):
        forge.faults.append(Fault("POST", Reply(403, {"message": "Resource not accessible"})))
        with commit_status(api, run, CHANGE):
            pass
        assert (len(forge.writes()), forge.statuses) == (1, [])


def test_a_lost_answer_does_not_leave_the_status_pending(run: Run) -> None:
    verify(run, Verdict.PASSED)
    with serve(GitHubStandIn) as (forge, api):
        forge.faults.append(Fault("POST"))
        with commit_status(api, run, CHANGE):
            pass
        assert [each["state"] for each in forge.statuses] == ["pending", "success"]


def test_a_run_without_verify_commands_sets_none(tmp_path: Path) -> None:
    unchecked = Checkout("work", "main", "a" * 40)
    with workspace() as directories, serve(GitHubStandIn) as (forge, api):
        run = open_run(directories, tmp_path, unchecked)
        with commit_status(api, run, Change("c" * 40, unchecked)):
            pass
        assert forge.requests == []


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_a_forge_that_fails_for_a_moment_does_not_leave_the_status_pending(run: Run, failures: int) -> None:
    verify(run, Verdict.PASSED)
    with serve(GitHubStandIn) as (forge, api):
        with commit_status(api, run, CHANGE):
            forge.faults.append(Fault("POST", Reply(502, b"bad gateway"), count=failures))
        is_set = failures < 3
        assert forge.statuses[-1]["state"] == ("success" if is_set else "pending")
        assert [warning for warning in run.warnings if "may still be pending" in warning] == run.warnings
        assert bool(run.warnings) is not is_set
