"""The flow deliver applies a saved change to the newest commit, and names what conflicts."""

import base64
import json
import os
import shlex
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.local.scripted_model import Tool, Turn
from deployments.local.stack import GIT_TOKEN
from flows import errors
from flows.deliver import deliver
from flows.outcome.result import Outcome, RunResult
from tests.support.prefect_workers import flush
from tests.support.runs import Run
from tests.support.world import World

AUTHORIZATION = base64.b64encode(f"u:{GIT_TOKEN}".encode()).decode()
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_EDITOR": "true",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "http.extraHeader",
    "GIT_CONFIG_VALUE_0": f"Authorization: Basic {AUTHORIZATION}",
    **{f"GIT_{role}_{key}": "other@example.com" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")},
}


def shell(folder: Path, script: str) -> None:
    subprocess.run(["bash", "-ec", script], cwd=folder, env=ENVIRONMENT, check=True, capture_output=True)


def push_commit(world: World, folder: Path, branch: str, script: str) -> str:
    """Push a commit by another person to a branch. A new branch starts from main."""
    clone = folder / f"clone-{time.monotonic_ns()}"
    folder.mkdir(exist_ok=True)
    shell(folder, f"git clone --quiet {world.repo_url} {clone}")
    start = f"git checkout --quiet {branch} 2>/dev/null || git checkout --quiet -b {branch}"
    shell(clone, f"{start}; {script}; git add --all; git commit --quiet -m other; git push --quiet origin {branch}")
    return world.git("rev-parse", branch)


def delivery(run: Run, **parameters: Any) -> tuple[Any, Any]:  # noqa: ANN401 (Prefect's state, and a result or an error)
    call: Callable[..., Any] = deliver
    state = call(**{"flow_run_id": run.id, "apply_to_latest": True, **parameters}, return_state=True)
    return state, state.result(raise_on_failure=False)


def advised_parameters(run: Run) -> list[dict[str, Any]]:
    parts = run.artifact().split("`")
    return [json.loads(shlex.split(part)[-1]) for part in parts if part.startswith("prefect deployment run deliver/")]


def newest_report(world: World, run: Run) -> str:
    query = {"artifacts": {"key": {"any_": [f"implement-{world.name}-report"]}}, "sort": "CREATED_DESC"}
    return str(httpx.post(f"{run.api_url}/artifacts/filter", json=query).json()[0]["data"])


def end_event(run: Run, flow_run_id: str) -> dict[str, Any]:
    """Return the event for the end of a run; wait until the server has it."""
    flush()
    query = {"filter": {"resource": {"id": [f"claude-code.run.{flow_run_id}"]}}}
    for _ in range(100):
        if events := httpx.post(f"{run.api_url}/events/filter", json=query).json()["events"]:
            return dict(events[0])
        time.sleep(0.1)
    raise AssertionError("the run has no event")


@pytest.fixture
def stopped_run(world: World, run: Callable[..., Run]) -> Run:
    """A run that saved a change that its policy did not allow to be pushed."""
    world.shell("mkdir .circleci; echo x > .circleci/config.yml; echo mine > README.md")
    flow_run = run(branch_name="the-branch")
    assert isinstance(flow_run.error, errors.CiFilesChanged)
    return flow_run


def test_after_a_branch_conflict_the_change_goes_on_top_of_the_other_commit(
    world: World, run: Callable[..., Run], tmp_path: Path
) -> None:
    world.git("branch", "shared", "main")
    write = Tool("Bash", {"command": "echo mine > mine.txt"})
    world.script(Turn("I write.", (write,), seconds=4), Turn("Done."))

    def push_when_the_agent_works() -> None:
        while not world.stack.model.requests:
            time.sleep(0.05)
        push_commit(world, tmp_path / "other", "shared", "echo theirs > theirs.txt")

    pushing = threading.Thread(target=push_when_the_agent_works, daemon=True)
    pushing.start()
    stopped = run(branch_name="shared")
    pushing.join()
    assert isinstance(stopped.error, errors.BranchConflict)
    assert "another branch_name or apply_to_latest=true" in str(stopped.error)
    other_commit = world.git("rev-parse", "shared")
    to_another_branch, to_latest = advised_parameters(stopped)
    assert to_another_branch == {"flow_run_id": stopped.id, "branch_name": "shared-2"}
    assert to_latest == {"flow_run_id": stopped.id, "apply_to_latest": True}

    state, result = delivery(stopped)
    assert isinstance(result, RunResult), result
    assert result.commit == world.git("rev-parse", "shared")
    assert result.applied_to == result.as_json()["applied_to"] == world.git("rev-parse", "shared^") == other_commit
    assert (world.content("shared", "mine.txt"), world.content("shared", "theirs.txt")) == ("mine", "theirs")
    assert stopped.id in world.git("log", "-1", "--format=%B", "shared")
    assert state.message == f"Pushed 1 file to shared as {result.commit[:12]}, applied to shared at {other_commit[:12]}"
    report = newest_report(world, stopped)
    assert f"| Applied to | `shared` at `{other_commit[:12]}` |" in report
    assert "| apply | Completed |" in report
    payload = end_event(stopped, str(state.state_details.flow_run_id))["payload"]
    assert (payload["applied_to"], payload["commit"]) == (other_commit, result.commit)
    assert (payload["cost_usd"], payload["turns"]) == (0, 0), "the event of the run has its cost"

    assert delivery(stopped)[1].commit == result.commit
    assert world.git("rev-parse", "shared") == result.commit
    last = push_commit(world, tmp_path / "other", "shared", "echo later > mine.txt")
    state, result = delivery(stopped)
    assert (state.name, state.message) == ("NoChanges", "Nothing to push: shared has this change already")
    assert (result.outcome, result.commit) == (Outcome.NO_CHANGES, "")
    assert "`shared` has this change already, so nothing was pushed." in newest_report(world, stopped)
    assert world.git("rev-parse", "shared") == last


def test_after_the_base_moved_the_change_is_applied_to_todays_base(
    world: World, stopped_run: Run, tmp_path: Path
) -> None:
    old_base = world.git("rev-parse", "main")
    newest = push_commit(world, tmp_path / "other", "main", "echo theirs > theirs.txt")
    requests = len(world.stack.model.requests)
    assert isinstance(delivery(stopped_run)[1], errors.CiFilesChanged), "the policy applies to the applied change"
    policy = {"allow_ci_changes": True}
    assert isinstance(delivery(stopped_run, branch_name="main", policy=policy)[1], errors.ProtectedBranch)
    assert world.branches() == {"main"}
    _, result = delivery(stopped_run, policy=policy)
    assert result.applied_to == world.git("rev-parse", "the-branch^") == newest
    assert sorted(result.files) == [".circleci/config.yml", "README.md"]
    assert world.content("the-branch", "theirs.txt") == "theirs"
    _, result = delivery(stopped_run, branch_name="on-the-old-base", apply_to_latest=False, policy=policy)
    assert result.applied_to == ""
    assert world.git("rev-parse", "on-the-old-base^") == old_base
    assert len(world.stack.model.requests) == requests


def test_a_conflict_is_named_and_its_advice_delivers_the_change(world: World, stopped_run: Run, tmp_path: Path) -> None:
    newest = push_commit(world, tmp_path / "other", "main", "echo theirs > README.md")
    state, error = delivery(stopped_run, policy={"allow_ci_changes": True})
    assert isinstance(error, errors.ChangeConflicts)
    assert f"conflicts with main at {newest[:12]}: 'README.md' (contents). Nothing was pushed." in str(error)
    assert world.branches() == {"main"}
    event = end_event(stopped_run, str(state.state_details.flow_run_id))
    assert (event["event"], event["payload"]["error"]) == ("claude-code.run.failed", "ChangeConflicts")

    shell(tmp_path, f"git clone --quiet {world.repo_url} by-hand")
    merge, push = (line.partition(": ")[2] for line in str(error).rpartition("Nothing was pushed. ")[2].split("\n"))
    shell(tmp_path / "by-hand", f"{merge} && exit 1 || git diff --quiet --diff-filter=U -- .circleci")
    shell(tmp_path / "by-hand", f"echo both > README.md; {push}")
    assert world.git("rev-parse", "the-branch^") == newest
    assert world.content("the-branch", "README.md") == "both"
    assert world.content("the-branch", ".circleci/config.yml") == "x"
    assert stopped_run.id in world.git("log", "-1", "--format=%B", "the-branch")
