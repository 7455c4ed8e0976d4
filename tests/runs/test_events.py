"""Each run emits one event on the server when it ends, with the fields that automations need and without secrets."""

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from deployments.local.scripted_model import Tool, Turn
from deployments.local.stack import GIT_TOKEN
from flows import errors
from tests.support.prefect_workers import flush
from tests.support.runs import Run
from tests.support.world import World


def end_events(run: Run) -> list[dict[str, Any]]:
    """Return the events for the end of a run; wait until there is one, and then a second for another."""
    flush()
    query = {"filter": {"resource": {"id": [f"claude-code.run.{run.id}"]}}}
    for _ in range(100):
        if first_events := httpx.post(f"{run.api_url}/events/filter", json=query).json()["events"]:
            break
        time.sleep(0.1)
    time.sleep(1)
    events: list[dict[str, Any]] = httpx.post(f"{run.api_url}/events/filter", json=query).json()["events"]
    return events if first_events else []


def test_a_delivery(world: World, run: Callable[..., Run], caplog: pytest.LogCaptureFixture) -> None:
    delivery = run(branch_name="new")
    [event] = end_events(delivery)
    payload = event["payload"]
    assert event["event"] == "claude-code.run.delivered"
    assert payload["commit"] == world.git("rev-parse", "new")
    assert (payload["repository"], payload["branch"], payload["files"]) == (world.repo_url, "new", 1)
    assert payload["turns"] == 2
    assert (payload["cache_read_tokens"], payload["cache_saved_usd"]) == (0, 0)
    assert payload["cost_usd"] == round(delivery.delivered().cost_usd or 0, 4) > 0
    assert payload["url"].endswith(delivery.id)
    assert event["resource"]["claude-code.branch"] == "new"
    related = {(resource["prefect.resource.role"], resource["prefect.resource.id"]) for resource in event["related"]}
    assert ("flow-run", f"prefect.flow-run.{delivery.id}") in related
    assert ("repository", f"claude-code.repository.{world.repo_url}") in related
    assert "hook" not in caplog.text.lower()


def test_a_run_without_changes(world: World, run: Callable[..., Run]) -> None:
    world.script(Turn("There is nothing to do."))
    [event] = end_events(run())
    assert event["event"] == "claude-code.run.no-changes"
    assert event["payload"]["commit"] == ""


def test_a_failure_after_money_was_spent(world: World, run: Callable[..., Run]) -> None:
    world.shell("mkdir .circleci; echo x > .circleci/config.yml")
    failed = run(branch_name="new")
    assert isinstance(failed.error, errors.CiFilesChanged)
    [event] = end_events(failed)
    assert event["event"] == "claude-code.run.failed"
    assert event["payload"]["error"] == "CiFilesChanged"
    assert event["payload"]["message"] == str(failed.error)
    assert event["payload"]["cost_usd"] > 0
    assert event["payload"]["turns"] == 2


@pytest.mark.parametrize("choice", ["keep", "push"])
def test_a_verification_that_failed(world: World, run: Callable[..., Run], choice: str) -> None:
    verification = {"verify_commands": "! test -e hello.txt", "max_repairs": 0, "on_verification_failure": choice}
    failed = run(branch_name="new", verification=verification)
    assert type(failed.error) is errors.VerificationFailed
    [event] = end_events(failed)
    payload = event["payload"]
    assert event["event"] == "claude-code.run.failed"
    assert (payload["error"], payload["verification"]) == ("VerificationFailed", "verification failed")
    assert (payload["verify_source"], payload["repairs"]) == ("verification.verify_commands", 0)
    assert payload["changed_checks"] == []
    assert payload["commit"] == (world.git("rev-parse", "new") if choice == "push" else "")
    assert (payload["repository"], payload["branch"], payload["turns"]) == (world.repo_url, "new", 2)
    assert payload["message"] == str(failed.error)
    assert payload["cost_usd"] > 0


def test_a_failure_before_the_agent_starts(world: World, run: Callable[..., Run]) -> None:
    [event] = end_events(run(repo_url=world.repo_url, branch_name="not a branch"))
    assert event["event"] == "claude-code.run.failed"
    assert event["payload"]["error"] == "InvalidBranchName"
    assert event["payload"]["cost_usd"] == 0


def test_an_exceeded_budget(world: World, run: Callable[..., Run]) -> None:
    world.script(*(Turn(f"{n}", (Tool("Bash", {"command": "true"}),)) for n in range(9)), Turn("Done."))
    [event] = end_events(run(limits={"max_budget_usd": 0.01}))
    assert event["event"] == "claude-code.run.budget-exceeded"
    assert event["payload"]["cost_usd"] >= 0.01


def test_an_event_has_no_secret(world: World, run: Callable[..., Run]) -> None:
    world.script(Turn(f"I saw {GIT_TOKEN} and ghp_{'c3D4' * 9}."))
    events = end_events(run(commit_message=f"with ghp_{'c3D4' * 9}", branch_name="new"))
    assert events
    assert GIT_TOKEN not in json.dumps(events)
    assert "ghp_c3D4" not in json.dumps(events)
