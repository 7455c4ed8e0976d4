"""The set-up of a delivery: what it takes from the run that made the change, and what it refuses."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prefect.logging import disable_run_logger

from flows import errors
from flows.instructions.files import Instructions
from flows.outcome.timing import StepTimes
from flows.parameters.deliver import DeliverParameters
from flows.repository.clone import Checkout
from flows.run.run import DeliverRun
from flows.run.setup import run_store, set_up_delivery
from flows.sandbox.user import AgentUser
from flows.sandbox.workspace import Workspace
from flows.state.files import StateFile
from flows.state.records import FinishedWork, Plan
from flows.state.saved_run import SavedRun

RUN = "01a209bf-c200-70d0-8c32-6634ec7187d3"
REQUEST = {
    "submodules": True,
    "clone_depth": 0,
    "limits": {"command_timeout_seconds": 7},
    "verification": {"setup_command": "npm ci"},
}


@pytest.fixture(autouse=True)
def without_a_run() -> Iterator[None]:
    with disable_run_logger():
        yield


def delivery(folder: Path, *, verify: bool, commands: str = "npm test") -> DeliverRun:
    """Save the change of a run, and set up its delivery."""
    saved = SavedRun(run_store(RUN))
    saved.store.save(StateFile.REQUEST, json.dumps(REQUEST).encode())
    checkout = Checkout("new", "main", "0" * 40, verify_commands=commands, setup_source="the file")
    instructions = Instructions("inline", (), "", "")
    saved.save_plan(Plan("https://example.com/a/b", checkout, instructions, datetime(2026, 11, 28, tzinfo=UTC)))
    saved.save_finished(FinishedWork("c" * 40, None, b"x"), logging.getLogger(__name__))
    saved.save_bundle(b"x", logging.getLogger(__name__))
    parameters = DeliverParameters(flow_run_id=RUN, verify=verify)
    return set_up_delivery(parameters, Workspace(folder, AgentUser(None, "")), StepTimes())


def test_a_delivery_verifies_with_the_limits_and_the_checkout_of_the_run(tmp_path: Path) -> None:
    run = delivery(tmp_path, verify=True)
    assert run.verifies
    assert run.request.limits.command_timeout_seconds == 7
    assert (run.request.submodules, run.request.clone_depth) == (True, 0)
    assert run.request.verification.setup_command == "npm ci"


def test_a_delivery_that_does_not_verify_fetches_no_submodules(tmp_path: Path) -> None:
    run = delivery(tmp_path, verify=False)
    assert not run.verifies
    assert not run.request.submodules


@pytest.mark.parametrize("commands", ["", "# nothing"])
def test_a_run_without_verify_commands_cannot_be_verified_again(tmp_path: Path, commands: str) -> None:
    with pytest.raises(errors.InvalidVerifyCommands, match=f"the run {RUN} has no verify commands"):
        delivery(tmp_path, verify=True, commands=commands)
    assert not delivery(tmp_path, verify=False, commands=commands).verifies
