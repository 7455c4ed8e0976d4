"""A run opens the pull request of its branch on each forge; if it cannot, the branch is pushed all the same."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from deployments.local.scripted_model import Tool, Turn
from flows.deliver import deliver
from flows.outcome.result import RunResult
from tests.support.forges.fixtures import parameters_for, serve_with_git
from tests.support.forges.stand_in import ForgeStandIn
from tests.support.forges.stand_ins import STAND_INS
from tests.support.runs import Run
from tests.support.world import World

each_forge = pytest.mark.parametrize("kind", STAND_INS, ids=[kind.name for kind in STAND_INS])
HELLO = Turn("I write.", (Tool("Write", {"file_path": "{cwd}/hello.txt", "content": "hello\n"}),))


def delivery_of(run: Run, **parameters: Any) -> RunResult:  # noqa: ANN401 (the flow's parameters)
    call: Callable[..., Any] = deliver
    result = call(flow_run_id=run.id, **parameters, return_state=True).result(raise_on_failure=False)
    assert isinstance(result, RunResult), result
    return result


def row(run: Run, name: str) -> str:
    """Return a row of the run's report."""
    return next((line for line in run.artifact().splitlines() if line.startswith(f"| {name} |")), "")


@each_forge
def test_a_run_opens_a_pull_request_and_names_it_everywhere(
    world: World, run: Callable[..., Run], kind: type[ForgeStandIn]
) -> None:
    with serve_with_git(kind, world) as forge:
        flow_run = run(**parameters_for(forge, pull_request_title="Say hello (#7)"))
        result = flow_run.delivered().pull_request
        assert result
        [opened] = forge.pull_requests
        assert (opened.title, opened.head, opened.base, opened.is_draft) == ("Say hello (#7)", "work", "main", False)
        assert (result.url, result.number, result.state) == (forge_page(forge), 1, "open")
        assert flow_run.id in opened.body
        assert "Say hello in hello.txt" in opened.body
        assert "**Checked:** nothing was run" in opened.body
        assert not forge.statuses, "a run without verify commands has nothing to say about a commit"
        assert f"pull request {result.url}" in (flow_run.state.message or "")
        assert result.url in row(flow_run, "Pull request")
        flow_run_row = httpx.get(f"{flow_run.api_url}/flow_runs/{flow_run.id}").json()
        assert f"pull-request:{result.url}" in flow_run_row["tags"]
        assert flow_run.saved_file("pull-request").exists()


def forge_page(forge: ForgeStandIn) -> str:
    """Return the address of the first pull request's page."""
    paths = {
        "github": "/acme/widgets/pull/1",
        "gitlab": "/acme/widgets/-/merge_requests/1",
        "gitea": "/acme/widgets/pulls/1",
        "bitbucket": "/acme/widgets/pull-requests/1",
        "azure": "/acme/My%20Project/_git/widgets/pullrequest/1",
    }
    return f"{forge.url}{paths[forge.name]}"
