"""A change that a run kept is pushed later: by the flow deliver, with fresh credentials, and without an agent."""

from collections.abc import Callable
from typing import Any

import pytest

from flows import errors
from flows.deliver import deliver
from tests.conftest import World
from tests.runs import Run

CI_CHANGE = "mkdir .circleci; echo x > .circleci/config.yml"


def delivering(run: Run, **parameters: Any) -> Any:  # noqa: ANN401 (a state's result)
    call: Callable[..., Any] = deliver
    state = call(flow_run_id=run.id, **parameters, return_state=True)
    return state.result(raise_on_failure=False)


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


def test_it_may_go_to_another_branch(world: World, kept: Run) -> None:
    commit = delivering(kept, branch_name="other", policy={"allow_ci_changes": True})
    assert world.branches() == {"main", "other"}
    assert world.git("rev-parse", "other") == commit


def test_what_the_policy_forbids_stays(world: World, kept: Run) -> None:
    assert isinstance(delivering(kept), errors.CiFilesChanged)
    protected = delivering(kept, branch_name="main", policy={"allow_ci_changes": True})
    assert isinstance(protected, errors.ProtectedBranch)
    assert world.branches() == {"main"}


def test_what_was_never_kept_is_named(world: World, run: Callable[..., Run]) -> None:
    refused = run(repo_url=f"{world.repo_url}-missing")
    assert isinstance(delivering(refused), errors.NothingKept)
