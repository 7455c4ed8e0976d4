"""The end of each run is an event on the server, once, with what automations need and no secret."""

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


def announced(run: Run) -> list[dict[str, Any]]:
    """Return the events of a run's end; wait for the first, and a moment for a second."""
    flush()
    mine = {"filter": {"resource": {"id": [f"claude-code.run.{run.id}"]}}}
    for _ in range(100):
        if found := httpx.post(f"{run.api_url}/events/filter", json=mine).json()["events"]:
            break
        time.sleep(0.1)
    time.sleep(1)
    events: list[dict[str, Any]] = httpx.post(f"{run.api_url}/events/filter", json=mine).json()["events"]
    return events if found else []


def test_a_delivery(world: World, run: Callable[..., Run], caplog: pytest.LogCaptureFixture) -> None:
    done = run(branch_name="new")
    [event] = announced(done)
    payload = event["payload"]
    assert event["event"] == "claude-code.run.delivered"
    assert payload["commit"] == world.git("rev-parse", "new")
    assert (payload["repository"], payload["branch"], payload["files"]) == (world.repo_url, "new", 1)
    assert payload["turns"] == 2
    assert payload["cost_usd"] == round(done.delivered().cost_usd or 0, 4) > 0
    assert payload["url"].endswith(done.id)
    assert event["resource"]["claude-code.branch"] == "new"
    related = {(one["prefect.resource.role"], one["prefect.resource.id"]) for one in event["related"]}
    assert ("flow-run", f"prefect.flow-run.{done.id}") in related
    assert ("repository", f"claude-code.repository.{world.repo_url}") in related
    assert "hook" not in caplog.text.lower()


def test_nothing_to_change(world: World, run: Callable[..., Run]) -> None:
    world.script(Turn("There is nothing to do."))
    [event] = announced(run())
    assert event["event"] == "claude-code.run.no-changes"
    assert event["payload"]["commit"] == ""


def test_a_failure_after_money_was_spent(world: World, run: Callable[..., Run]) -> None:
    world.shell("mkdir .circleci; echo x > .circleci/config.yml")
    failed = run(branch_name="new")
    assert isinstance(failed.error, errors.CiFilesChanged)
    [event] = announced(failed)
    assert event["event"] == "claude-code.run.failed"
    assert event["payload"]["error"] == "CiFilesChanged"
    assert event["payload"]["message"] == str(failed.error)
    assert event["payload"]["cost_usd"] > 0
    assert event["payload"]["turns"] == 2


def test_a_failure_before_anything(world: World, run: Callable[..., Run]) -> None:
    [event] = announced(run(repo_url=world.repo_url, branch_name="not a branch"))
    assert event["event"] == "claude-code.run.failed"
    assert event["payload"]["error"] == "InvalidBranchName"
    assert event["payload"]["cost_usd"] == 0


def test_the_budget_used_up(world: World, run: Callable[..., Run]) -> None:
    world.script(*(Turn(f"{n}", (Tool("Bash", {"command": "true"}),)) for n in range(9)), Turn("Done."))
    [event] = announced(run(limits={"max_budget_usd": 0.01}))
    assert event["event"] == "claude-code.run.budget-exceeded"
    assert event["payload"]["cost_usd"] >= 0.01


def test_no_secret_is_in_it(world: World, run: Callable[..., Run]) -> None:
    world.script(Turn(f"I saw {GIT_TOKEN} and ghp_{'c3D4' * 9}."))
    events = announced(run(commit_message=f"with ghp_{'c3D4' * 9}", branch_name="new"))
    assert events
    assert GIT_TOKEN not in json.dumps(events)
    assert "ghp_c3D4" not in json.dumps(events)
