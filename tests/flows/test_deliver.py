"""A change that a run kept is pushed later: by the flow deliver, with fresh credentials, and without an agent."""

import json
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


def delivering(run: Run, **parameters: Any) -> Any:  # noqa: ANN401 (an error, or the commit)
    call: Callable[..., Any] = deliver
    state = call(flow_run_id=run.id, **parameters, return_state=True)
    result = state.result(raise_on_failure=False)
    return result.commit if isinstance(result, RunResult) else result


@pytest.fixture
def kept(world: World, run: Callable[..., Run]) -> Run:
    """A run whose change its policy did not let leave."""
    world.shell(CI_CHANGE)
    stopped = run(branch_name="the-branch")
    assert isinstance(stopped.error, errors.CiFilesChanged)
    return stopped


def test_a_kept_change_is_pushed_when_it_is_allowed(world: World, kept: Run) -> None:
    asked = len(world.stack.model.asked)
    commit = delivering(kept, policy={"allow_ci_changes": True})
    assert world.git("rev-parse", "the-branch") == commit
    assert world.content("the-branch", ".circleci/config.yml") == "x"
    assert kept.id in world.git("log", "-1", "--format=%B", "the-branch")
    assert len(world.stack.model.asked) == asked
    # Again is no harm.
    assert delivering(kept, policy={"allow_ci_changes": True}) == commit


def test_it_is_reported_as_the_run_that_made_it_would_have(world: World, kept: Run) -> None:
    commit = delivering(kept, branch_name="other", policy={"allow_ci_changes": True})
    mine = {"artifacts": {"key": {"any_": [f"implement-{world.name}-report"]}}, "sort": "CREATED_DESC"}
    newest = httpx.post(f"{kept.api_url}/artifacts/filter", json=mine).json()[0]
    report = newest["data"]
    assert report.startswith("# Pushed 1 file\n")
    assert newest["flow_run_id"] != kept.id
    assert commit in report
    assert "`other`" in report
    assert "allow_ci_changes" in report
    assert "+x" in report
    assert "| push | Completed |" in report
    tags = httpx.get(f"{kept.api_url}/flow_runs/{newest['flow_run_id']}").json()["tags"]
    assert {"outcome:delivered", f"repo:{world.name}", "branch:other"} <= set(tags)


def test_no_report_changes_no_delivery(world: World, kept: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str:
        raise errors.GitFailed("the objects cannot be read")

    monkeypatch.setattr("flows.run.summary.patch", broken)
    assert delivering(kept, policy={"allow_ci_changes": True}) == world.git("rev-parse", "the-branch")


def test_it_may_go_to_another_branch(world: World, kept: Run) -> None:
    commit = delivering(kept, branch_name="other", policy={"allow_ci_changes": True})
    assert world.branches() == {"main", "other"}
    assert world.git("rev-parse", "other") == commit


def test_a_token_that_expired_while_the_agent_worked_is_renewed_and_the_change_delivered(
    world: World, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.script(Turn("Slowly.", (Tool("Bash", {"command": "echo 1 > one"}),), seconds=1.5), Turn("Done."))

    def expire() -> None:
        while not world.stack.model.asked:
            time.sleep(0.01)
        monkeypatch.setattr(world.stack.git, "token", "the-renewed-token")

    thread = threading.Thread(target=expire)
    thread.start()
    refused = run(branch_name="the-branch")
    thread.join()
    assert isinstance(refused.error, errors.GitAuthFailed)
    assert f"deliver pushes it later (flow_run_id={refused.id})" in str(refused.error)
    assert isinstance(delivering(refused), errors.GitAuthFailed)
    asked = len(world.stack.model.asked)
    world.stack.put_secret(json.dumps({"token": "the-renewed-token", "email": "a@example.com"}), world.name)
    commit = delivering(refused, git_credentials_secret_id=world.name)
    assert world.git("rev-parse", "the-branch") == commit
    assert len(world.stack.model.asked) == asked


def test_what_the_policy_forbids_stays(world: World, kept: Run) -> None:
    assert isinstance(delivering(kept), errors.CiFilesChanged)
    protected = delivering(kept, branch_name="main", policy={"allow_ci_changes": True})
    assert isinstance(protected, errors.ProtectedBranch)
    assert world.branches() == {"main"}


def test_what_was_never_kept_is_named(world: World, run: Callable[..., Run]) -> None:
    refused = run(repo_url=f"{world.repo_url}-missing")
    assert isinstance(delivering(refused), errors.NoSavedChange)


@pytest.mark.parametrize("head", ["refs/heads/the-branch", "refs/heads/not-there"])
def test_a_default_branch_that_changed_while_the_agent_worked_is_not_pushed_to(
    world: World, run: Callable[..., Run], head: str
) -> None:
    world.git("branch", "the-branch", "main")
    world.script(Turn("Slowly.", (Tool("Bash", {"command": "echo 1 > one"}),), seconds=1.5), Turn("Done."))

    def move_head() -> None:
        while not world.stack.model.asked:
            time.sleep(0.01)
        world.git("symbolic-ref", "HEAD", head)

    thread = threading.Thread(target=move_head)
    thread.start()
    refused = run(branch_name="the-branch")
    thread.join()
    assert isinstance(refused.error, errors.ProtectedBranch)
    assert f"deliver pushes it later (flow_run_id={refused.id})" in str(refused.error)
    assert isinstance(delivering(refused), errors.ProtectedBranch)
    assert world.git("rev-parse", "the-branch") == world.git("rev-parse", "main")
    commit = delivering(refused, allow_default_branch=True)
    assert world.git("rev-parse", "the-branch") == commit
    # The commit is there: a repeated delivery pushes nothing, and has nothing to refuse.
    assert delivering(refused, allow_default_branch=True) == commit


def test_a_kept_change_is_not_delivered_with_a_token_for_other_repositories(world: World, kept: Run) -> None:
    bound = {"token": GIT_TOKEN, "email": "a@example.com", "repositories": ["https://github.com/your-org/*"]}
    world.stack.put_secret(json.dumps(bound), world.name)
    world.stack.git.asked.clear()
    refused = delivering(kept, policy={"allow_ci_changes": True}, git_credentials_secret_id=world.name)
    assert isinstance(refused, errors.RepositoryNotAllowed)
    assert world.repo_url in str(refused)
    assert world.stack.git.asked == []


def test_a_delivery_with_a_token_that_is_not_bound_says_so(world: World, kept: Run) -> None:
    delivering(kept, branch_name="unbound", policy={"allow_ci_changes": True})
    assert "| Warning | the git token is not bound to a host" in newest_report(world, kept)
    own = {"token": GIT_TOKEN, "email": "a@example.com", "hosts": [world.stack.git.url.removeprefix("http://")]}
    world.stack.put_secret(json.dumps(own), world.name)
    delivering(kept, branch_name="bound", policy={"allow_ci_changes": True}, git_credentials_secret_id=world.name)
    report = newest_report(world, kept)
    assert "`bound`" in report
    assert "not bound" not in report


def newest_report(world: World, kept: Run) -> str:
    of_repository = {"artifacts": {"key": {"any_": [f"implement-{world.name}-report"]}}, "sort": "CREATED_DESC"}
    return str(httpx.post(f"{kept.api_url}/artifacts/filter", json=of_repository).json()[0]["data"])
