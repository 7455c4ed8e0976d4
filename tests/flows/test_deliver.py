"""The flow deliver pushes the change that a run saved, with fresh credentials and without an agent."""

import json
import shlex
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from deployments.local.scripted_model import Tool, Turn
from deployments.local.stack import GIT_TOKEN
from flows import errors
from flows.deliver import deliver
from flows.outcome.result import RunResult
from tests.support.runs import Run
from tests.support.world import World

CI_CHANGE = "mkdir .circleci; echo x > .circleci/config.yml"


def deliver_change(run: Run, **parameters: Any) -> Any:  # noqa: ANN401 (the commit or an error)
    call: Callable[..., Any] = deliver
    state = call(flow_run_id=run.id, **parameters, return_state=True)
    result = state.result(raise_on_failure=False)
    return result.commit if isinstance(result, RunResult) else result


def newest_report(run: Run, key: str) -> dict[str, Any]:
    """Return the newest report with this key, as the Prefect server has it."""
    query = {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC"}
    artifact: dict[str, Any] = httpx.post(f"{run.api_url}/artifacts/filter", json=query).json()[0]
    return artifact


@pytest.fixture
def stopped_run(world: World, run: Callable[..., Run]) -> Run:
    """A run that saved a change that its policy did not allow to be pushed."""
    world.shell(CI_CHANGE)
    flow_run = run(branch_name="the-branch")
    assert isinstance(flow_run.error, errors.CiFilesChanged)
    return flow_run


def test_a_saved_change_is_pushed_when_it_is_allowed(world: World, stopped_run: Run) -> None:
    requests = len(world.stack.model.requests)
    commit = deliver_change(stopped_run, policy={"allow_ci_changes": True})
    assert world.git("rev-parse", "the-branch") == commit
    assert world.content("the-branch", ".circleci/config.yml") == "x"
    assert stopped_run.id in world.git("log", "-1", "--format=%B", "the-branch")
    assert len(world.stack.model.requests) == requests
    # A second delivery does no harm.
    assert deliver_change(stopped_run, policy={"allow_ci_changes": True}) == commit


def test_a_delivery_has_the_same_report_as_the_run_that_made_the_change(world: World, stopped_run: Run) -> None:
    commit = deliver_change(stopped_run, branch_name="other", policy={"allow_ci_changes": True})
    newest = newest_report(stopped_run, f"implement-{world.name}-report")
    report = newest["data"]
    assert report.startswith("# Pushed 1 file\n")
    assert newest["flow_run_id"] != stopped_run.id
    assert commit in report
    assert "`other`" in report
    assert "allow_ci_changes" in report
    assert "+x" in report
    assert "| push | Completed |" in report
    tags = httpx.get(f"{stopped_run.api_url}/flow_runs/{newest['flow_run_id']}").json()["tags"]
    assert {"outcome:delivered", f"repo:{world.name}", "branch:other"} <= set(tags)


def test_an_error_in_the_report_does_not_change_the_delivery(
    world: World, stopped_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise errors.GitFailed("the objects cannot be read")

    monkeypatch.setattr("flows.run.summary.patch", fail)
    assert deliver_change(stopped_run, policy={"allow_ci_changes": True}) == world.git("rev-parse", "the-branch")


def test_a_change_can_be_delivered_to_another_branch(world: World, stopped_run: Run) -> None:
    commit = deliver_change(stopped_run, branch_name="other", policy={"allow_ci_changes": True})
    assert world.branches() == {"main", "other"}
    assert world.git("rev-parse", "other") == commit


def test_a_change_is_delivered_with_a_new_token_if_the_old_one_expired_while_the_agent_worked(
    world: World, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.script(Turn("Slowly.", (Tool("Bash", {"command": "echo 1 > one"}),), seconds=1.5), Turn("Done."))

    def expire() -> None:
        while not world.stack.model.requests:
            time.sleep(0.01)
        monkeypatch.setattr(world.stack.git, "token", "the-renewed-token")

    thread = threading.Thread(target=expire)
    thread.start()
    refused_run = run(branch_name="the-branch")
    thread.join()
    assert isinstance(refused_run.error, errors.GitAuthFailed)
    assert f"deliver pushes it later (flow_run_id={refused_run.id})" in str(refused_run.error)
    assert isinstance(deliver_change(refused_run), errors.GitAuthFailed)
    requests = len(world.stack.model.requests)
    world.stack.put_secret(json.dumps({"token": "the-renewed-token", "email": "a@example.com"}), world.name)
    commit = deliver_change(refused_run, git_credentials_secret_id=world.name)
    assert world.git("rev-parse", "the-branch") == commit
    assert len(world.stack.model.requests) == requests


def test_a_delivery_obeys_the_policy_and_the_protection_of_the_default_branch(world: World, stopped_run: Run) -> None:
    assert isinstance(deliver_change(stopped_run), errors.CiFilesChanged)
    error = deliver_change(stopped_run, branch_name="main", policy={"allow_ci_changes": True})
    assert isinstance(error, errors.ProtectedBranch)
    assert world.branches() == {"main"}
    report = newest_report(stopped_run, f"implement-{world.name}-report")
    assert report["flow_run_id"] != stopped_run.id
    assert report["data"].startswith("# Failed: ProtectedBranch\n")
    assert "the default branch: choose another branch" in report["data"]


def test_a_run_without_verify_commands_cannot_be_verified_again(world: World, stopped_run: Run) -> None:
    world.stack.git.requests.clear()
    error = deliver_change(stopped_run, verify=True, policy={"allow_ci_changes": True})
    assert isinstance(error, errors.InvalidVerifyCommands)
    assert f"the run {stopped_run.id} has no verify commands" in str(error)
    assert world.stack.git.requests == []


def test_a_run_without_a_saved_change_raises_a_named_error(world: World, run: Callable[..., Run]) -> None:
    refused_run = run(repo_url=f"{world.repo_url}-missing")
    assert isinstance(deliver_change(refused_run), errors.NoSavedChange)
    report = newest_report(refused_run, "implement-repository-report")
    assert report["data"].startswith("# Failed: NoSavedChange\n")


@pytest.mark.parametrize("head", ["refs/heads/the-branch", "refs/heads/not-there"])
def test_a_default_branch_that_changed_while_the_agent_worked_is_not_pushed_to(
    world: World, run: Callable[..., Run], head: str
) -> None:
    world.git("branch", "the-branch", "main")
    world.script(Turn("Slowly.", (Tool("Bash", {"command": "echo 1 > one"}),), seconds=1.5), Turn("Done."))

    def move_head() -> None:
        while not world.stack.model.requests:
            time.sleep(0.01)
        world.git("symbolic-ref", "HEAD", head)

    thread = threading.Thread(target=move_head)
    thread.start()
    refused_run = run(branch_name="the-branch")
    thread.join()
    assert isinstance(refused_run.error, errors.ProtectedBranch)
    assert f"deliver pushes it later (flow_run_id={refused_run.id})" in str(refused_run.error)
    assert isinstance(deliver_change(refused_run), errors.ProtectedBranch)
    assert world.git("rev-parse", "the-branch") == world.git("rev-parse", "main")
    commit = deliver_change(refused_run, allow_default_branch=True)
    assert world.git("rev-parse", "the-branch") == commit
    # The remote has the commit already: a repeated delivery pushes nothing, so nothing is refused.
    assert deliver_change(refused_run, allow_default_branch=True) == commit


def test_a_change_is_not_delivered_with_a_token_for_other_repositories(world: World, stopped_run: Run) -> None:
    secret = {"token": GIT_TOKEN, "email": "a@example.com", "repositories": ["https://github.com/your-org/*"]}
    world.stack.put_secret(json.dumps(secret), world.name)
    world.stack.git.requests.clear()
    error = deliver_change(stopped_run, policy={"allow_ci_changes": True}, git_credentials_secret_id=world.name)
    assert isinstance(error, errors.RepositoryNotAllowed)
    assert world.repo_url in str(error)
    assert world.stack.git.requests == []


def test_the_report_of_a_delivery_warns_of_a_token_that_is_not_bound(world: World, stopped_run: Run) -> None:
    deliver_change(stopped_run, branch_name="unbound", policy={"allow_ci_changes": True})
    assert (
        "| Warning | the git token is not bound to a host"
        in newest_report(stopped_run, f"implement-{world.name}-report")["data"]
    )
    secret = {"token": GIT_TOKEN, "email": "a@example.com", "hosts": [world.stack.git.url.removeprefix("http://")]}
    world.stack.put_secret(json.dumps(secret), world.name)
    deliver_change(
        stopped_run, branch_name="bound", policy={"allow_ci_changes": True}, git_credentials_secret_id=world.name
    )
    report = newest_report(stopped_run, f"implement-{world.name}-report")["data"]
    assert "`bound`" in report
    assert "not bound" not in report


def test_after_a_conflict_the_advised_delivery_works(world: World, run: Callable[..., Run]) -> None:
    # Somebody pushes to the branch while the agent works.
    path = world.stack.git.root / f"{world.name}.git"
    world.git("branch", "shared", "main")
    identity = "GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x@x GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x@x"

    def push() -> None:
        script = f'git update-ref refs/heads/shared $({identity} git commit-tree "shared^{{tree}}" -p shared -m other)'
        subprocess.run(["sh", "-ec", script], cwd=path, check=True)

    write = Tool("Bash", {"command": "echo mine > mine.txt"})
    world.script(Turn("I write.", (write,), seconds=2), Turn("Done."))

    def push_when_the_agent_works() -> None:
        while not world.stack.model.requests:
            time.sleep(0.05)
        push()

    pushing = threading.Thread(target=push_when_the_agent_works, daemon=True)
    pushing.start()
    stopped = run(branch_name="shared")
    pushing.join()
    assert isinstance(stopped.error, errors.BranchConflict)
    command = next(part for part in stopped.artifact().split("`") if part.startswith("prefect deployment run deliver/"))
    parameters = json.loads(shlex.split(command)[-1])
    assert parameters == {"flow_run_id": stopped.id, "branch_name": "shared-2"}
    assert deliver_change(stopped, branch_name=parameters["branch_name"]) == world.git("rev-parse", "shared-2")
    assert world.content("shared-2", "mine.txt") == "mine"
