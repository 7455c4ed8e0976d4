"""What a run does next with finished work, and what counts as known about its change."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prefect.filesystems import LocalFileSystem
from pydantic import SecretStr

from flows.agent.session import Agent
from flows.instructions.files import Instructions
from flows.model.providers.anthropic import Anthropic
from flows.outcome.timing import StepTimes
from flows.parameters.claude_code import ClaudeCodeOptions
from flows.parameters.implement import ImplementParameters
from flows.parameters.limits import Limits
from flows.parameters.verification import Verification as Parameters
from flows.repository.clone import Checkout
from flows.repository.collect import Change
from flows.run.rounds import (
    Next,
    forget_faults_of_the_machine,
    last_round,
    needs_work_tree,
    next_step,
    status_of,
    verification_key,
    verify_commands,
)
from flows.run.run import DeliverRun, ImplementRun, Run
from flows.sandbox.user import AgentUser
from flows.sandbox.workspace import Workspace
from flows.state.records import FinishedWork, Plan
from flows.state.saved_run import SavedRun
from flows.state.store import RunStore
from flows.state.verifications import Round, Verifications
from flows.verification.results import CommandResult, Status, Verdict, Verification

COMMIT = "c" * 40
CHECKOUT = Checkout("new", "main", "0" * 40, verify_commands="npm test", setup_source="the file")
PLAN = Plan("https://example.com/a/b", CHECKOUT, Instructions("inline", (), "", ""), datetime(2026, 11, 28, tzinfo=UTC))
FAILURE = CommandResult("npm test", Verdict.FAILED, 1, 2.5)
FAILED = Verification("1" * 40, (FAILURE,), failures=(FAILURE,))
GOOD = Verification("1" * 40, (replace(FAILURE, verdict=Verdict.PASSED),))


def run_with(
    folder: Path,
    *rounds: Verification,
    commit: str = COMMIT,
    parameters: Parameters = Parameters(),  # noqa: B008 (it is frozen)
    is_delivery: bool = False,
    options: ClaudeCodeOptions = ClaudeCodeOptions(),  # noqa: B008 (it is frozen)
) -> Run:
    """Return a run whose newest finished work has had one repair for each round but the first."""
    saved = SavedRun(RunStore(LocalFileSystem(basepath=str(folder)), "the-run", ()))
    saved.plan = PLAN
    saved.finished = FinishedWork(commit, None, round=max(0, len(rounds) - 1))
    request = ImplementParameters(
        repo_url="https://example.com/a/b", instructions="x", branch_name="new", verification=parameters
    )
    workspace, steps = Workspace(folder, AgentUser(None, "")), StepTimes()
    agent = Agent(options, Anthropic(SecretStr("key"), "model", "https://x.invalid"))
    earlier = request.model_copy(update={"verification": Parameters()})
    before = ImplementRun(earlier, workspace, saved, steps, [], Agent(ClaudeCodeOptions(), agent.provider))
    commands = verify_commands(before, CHECKOUT)
    assert commands is not None
    key = verification_key(before, CHECKOUT, commands)
    saved.verifications = Verifications(tuple(Round(number, key, COMMIT, each) for number, each in enumerate(rounds)))
    if is_delivery:
        return DeliverRun(request, workspace, saved, steps, [], apply_to_latest=False)
    return ImplementRun(request, workspace, saved, steps, [], agent)


OTHER = replace(FAILED, tree="2" * 40)
CASES = {
    "not verified yet": ((), Parameters(), Next.VERIFICATION),
    "verified": ((GOOD,), Parameters(), Next.NOTHING),
    "failed": ((FAILED,), Parameters(), Next.REPAIR),
    "no repair is allowed": ((FAILED,), Parameters(max_repairs=0), Next.NOTHING),
    "a repair failed": ((FAILED, OTHER), Parameters(), Next.REPAIR),
    "a repair changed nothing": ((FAILED, FAILED), Parameters(), Next.NOTHING),
    "all repairs failed": ((FAILED, OTHER, FAILED), Parameters(), Next.NOTHING),
    "more repairs are allowed now": ((FAILED, OTHER, FAILED), Parameters(max_repairs=3), Next.REPAIR),
    "other commands now": ((GOOD,), Parameters(verify_commands="make test"), Next.VERIFICATION),
    "another setup now": ((FAILED,), Parameters(setup_command="npm ci"), Next.VERIFICATION),
    "no commands now": ((FAILED,), Parameters(verify_commands="#"), Next.NOTHING),
}


@pytest.mark.parametrize(("rounds", "parameters", "expected"), CASES.values(), ids=CASES)
def test_what_an_earlier_attempt_did_is_not_done_again(
    tmp_path: Path, rounds: tuple[Verification, ...], parameters: Parameters, expected: Next
) -> None:
    run = run_with(tmp_path, *rounds, parameters=parameters)
    assert next_step(run, CHECKOUT) is expected
    assert needs_work_tree(run) is (expected is not Next.NOTHING)


def with_verdict(verdict: Verdict, tree: str = "1") -> Verification:
    failure = replace(FAILURE, verdict=verdict)
    return Verification(tree * 40, (failure,), failures=(failure,))


SLOW, SMALL = with_verdict(Verdict.TIMED_OUT), with_verdict(Verdict.OUT_OF_MEMORY)
RETRIES = {
    "slow": ((SLOW,), 0, Next.VERIFICATION),
    "slow, and a repair is left": ((SLOW,), 1, Next.REPAIR),
    "slow, and the repair changed nothing": ((SLOW, SLOW), 2, Next.VERIFICATION),
    "slow after repairs": ((FAILED, with_verdict(Verdict.TIMED_OUT, "2")), 1, Next.VERIFICATION),
    "no memory": ((SMALL,), 0, Next.VERIFICATION),
    "no memory, and a repair is left": ((SMALL,), 2, Next.VERIFICATION),
    "no disk": ((with_verdict(Verdict.OUT_OF_DISK),), 0, Next.VERIFICATION),
    "its setup failed": ((Verification("1" * 40, setup_fault="no network"),), 0, Next.VERIFICATION),
    "failed": ((FAILED,), 0, Next.NOTHING),
    "verified": ((GOOD,), 0, Next.NOTHING),
    "not verified yet": ((), 0, Next.VERIFICATION),
}


@pytest.mark.parametrize(("rounds", "repairs", "expected"), RETRIES.values(), ids=RETRIES)
def test_a_later_attempt_verifies_again_what_the_machine_may_have_caused(
    tmp_path: Path, rounds: tuple[Verification, ...], repairs: int, expected: Next
) -> None:
    run = run_with(tmp_path, *rounds, parameters=Parameters(max_repairs=repairs))
    assert isinstance(run, ImplementRun)
    forget_faults_of_the_machine(run)
    assert next_step(run, CHECKOUT) is expected


def test_a_longer_time_limit_runs_the_commands_again(tmp_path: Path) -> None:
    options = ClaudeCodeOptions(limits=Limits(command_timeout_seconds=1200))
    run = run_with(tmp_path, FAILED, parameters=Parameters(max_repairs=0), options=options)
    assert next_step(run, CHECKOUT) is Next.VERIFICATION


def test_a_repair_is_about_the_finished_work(tmp_path: Path) -> None:
    run = run_with(tmp_path, FAILED, OTHER)
    assert run.saved.finished is not None
    run.saved.finished = replace(run.saved.finished, round=0)
    assert isinstance(run, ImplementRun)
    last = last_round(run)
    assert last is not None
    assert (last.number, last.verification) == (0, FAILED)


def test_without_a_change_and_in_a_delivery_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert next_step(run_with(tmp_path, commit=""), CHECKOUT) is Next.NOTHING
    delivery = run_with(tmp_path, is_delivery=True)
    assert not needs_work_tree(delivery)
    assert isinstance(delivery, DeliverRun)
    assert needs_work_tree(replace(delivery, verifies=True))


def test_an_agent_that_has_not_finished_needs_a_work_tree(tmp_path: Path) -> None:
    run = run_with(tmp_path)
    run.saved.finished = None
    assert needs_work_tree(run)


@pytest.mark.parametrize("is_delivery", [False, True])
def test_the_status_is_that_of_the_commit(tmp_path: Path, is_delivery: bool) -> None:
    run, unverified = run_with(tmp_path, FAILED, is_delivery=is_delivery), run_with(tmp_path, is_delivery=is_delivery)
    assert status_of(run, Change(COMMIT, CHECKOUT)) is Status.FAILED
    assert status_of(run, Change("d" * 40, CHECKOUT)) is Status.NOT_RUN
    assert status_of(run, Change("d" * 40, CHECKOUT, applied_tree=FAILED.tree)) is Status.FAILED
    assert status_of(run, Change("d" * 40, CHECKOUT, applied_tree="2" * 40)) is Status.NOT_RUN
    assert status_of(run, Change("", CHECKOUT)) is None
    assert status_of(unverified, Change(COMMIT, CHECKOUT)) is Status.NOT_RUN


def test_a_run_that_asks_for_nothing_ignores_what_was_found_before(tmp_path: Path) -> None:
    run = run_with(tmp_path, FAILED, parameters=Parameters(verify_commands="#"))
    assert status_of(run, Change(COMMIT, CHECKOUT)) is Status.NOT_ASKED
