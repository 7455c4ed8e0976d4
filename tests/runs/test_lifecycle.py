"""The artifacts, the tags and the saved report of a run, for each outcome."""

import json
import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient

from deployments.local.scripted_model import Tool, Turn
from deployments.local.stack import GIT_EMAIL, GIT_TOKEN
from flows import errors
from tests.support.runs import Run
from tests.support.world import World


def artifacts(run: Run) -> dict[str, dict[str, Any]]:
    query = {"flow_runs": {"id": {"any_": [run.id]}}}
    rows = httpx.post(f"{run.api_url}/artifacts/filter", json=query).json()
    return {row["key"] or row["type"]: row for row in rows if row["type"]}


def tags(run: Run) -> dict[str, str]:
    values: list[str] = httpx.get(f"{run.api_url}/flow_runs/{run.id}").json()["tags"]
    return {name: value for name, _, value in (tag.partition(":") for tag in values)}


def test_a_run_has_a_report_a_table_of_steps_and_its_progress(world: World, run: Callable[..., Run]) -> None:
    flow_run = run()
    artifacts_by_key = artifacts(flow_run)
    assert artifacts_by_key.keys() == {f"implement-{world.name}-report", f"implement-{world.name}-steps", "progress"}
    assert artifacts_by_key[f"implement-{world.name}-report"]["description"] == flow_run.state.message
    assert flow_run.saved_file("report.md").read_text() == flow_run.artifact()
    assert artifacts_by_key["progress"]["data"] == 100
    assert "2 of 200 turns" in artifacts_by_key["progress"]["description"]
    steps = {row["step"]: row for row in json.loads(artifacts_by_key[f"implement-{world.name}-steps"]["data"])}
    assert sorted(steps) == ["claude", "clone", "instructions", "push", "secret"]
    assert {row["state"] for row in steps.values()} == {"Completed"}
    assert steps["claude"]["attempts"] == 1


def test_a_run_can_be_found_by_repository_branch_model_and_outcome(world: World, run: Callable[..., Run]) -> None:
    assert tags(run(provider="anthropic", branch_name="x")) == {
        "repo": world.name, "branch": "x", "model": "claude-sonnet-5-5", "outcome": "delivered"
    }  # fmt: skip
    world.script(Turn("It is all there already."))
    assert tags(run())["outcome"] == "no-changes"


def test_other_tags_of_the_run_are_left_alone(run: Callable[..., Run]) -> None:
    from prefect import tags as tagged  # noqa: PLC0415

    with tagged("claude-code", "outcome:of-an-earlier-attempt"):
        flow_run = run()
    values = httpx.get(f"{flow_run.api_url}/flow_runs/{flow_run.id}").json()["tags"]
    assert "claude-code" in values
    assert [tag for tag in values if tag.startswith("outcome:")] == ["outcome:delivered"]


def test_the_report_of_a_change_that_the_policy_stopped_names_the_next_steps(
    world: World, run: Callable[..., Run]
) -> None:
    world.shell("mkdir .circleci; echo x > .circleci/config.yml")
    stopped_run = run(branch_name="the-branch")
    report = stopped_run.artifact()
    assert report.startswith("# Failed: CiFilesChanged")
    assert f"git fetch {stopped_run.saved_file('change.bundle')} the-branch" in report
    parameters = f'{{"flow_run_id": "{stopped_run.id}", "policy": {{"allow_ci_changes": true}}}}'
    assert f"prefect deployment run deliver/local --params '{parameters}'" in report
    assert "+x" in report
    assert "| push | Failed |" in report
    assert stopped_run.saved_file("report.md").read_text() == report
    assert tags(stopped_run)["outcome"] == "failed"


def test_the_report_of_an_agent_that_ran_out_of_turns_shows_its_work(world: World, run: Callable[..., Run]) -> None:
    world.script(*(Turn(f"Step {n}.", (Tool("Bash", {"command": f"echo {n} >> steps.txt"}),)) for n in range(9)))
    stopped_run = run(limits={"max_turns": 3})
    assert isinstance(stopped_run.error, errors.TurnLimitReached)
    report = stopped_run.artifact()
    assert "`steps.txt` | +3 |" in report
    assert "| Turns, cost, time | 4, $" in report
    assert "start the run again the way you first started it" in report, "it has no deployment"


@pytest.mark.parametrize(
    ("parameters", "name"),
    [({"repo_url": "https://user:the-password@h/r"}, "InvalidRepoUrl"), ({"claude_code_block": "no"}, "BlockNotFound")],
)
def test_a_run_that_was_refused_has_a_report_too(
    run: Callable[..., Run], parameters: dict[str, Any], name: str
) -> None:
    refused_run = run(**parameters)
    report = refused_run.artifact()
    assert report.startswith(f"# Failed: {name}")
    assert "the-password" not in report
    assert refused_run.saved_file("report.md").read_text() == report
    assert tags(refused_run) == {"outcome": "failed"}


def test_a_run_succeeds_though_the_api_accepts_no_artifact_and_no_tag(
    world: World, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise httpx.ConnectError("the API does not answer")

    for call in ("create_artifact", "update_artifact", "update_flow_run"):
        monkeypatch.setattr(SyncPrefectClient, call, fail)
    flow_run = run()
    assert world.git("rev-parse", flow_run.delivered().branch) == flow_run.delivered().commit
    assert flow_run.saved_file("report.md").exists()
    assert sum("part of the report could not be published" in record.getMessage() for record in caplog.records) == 3


def test_an_error_in_the_report_does_not_change_the_outcome(
    world: World, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise errors.GitFailed("the objects cannot be read")

    monkeypatch.setattr("flows.run.summary.patch", fail)
    flow_run = run()
    assert world.git("rev-parse", flow_run.delivered().branch) == flow_run.delivered().commit
    world.shell("mkdir .circleci; echo x > .circleci/config.yml")
    assert isinstance(run().error, errors.CiFilesChanged)


def test_the_log_shows_the_agents_steps_with_their_results(
    world: World, run: Callable[..., Run], caplog: pytest.LogCaptureFixture
) -> None:
    edit = {"file_path": "{cwd}/README.md", "old_string": "# A repository", "new_string": "# The repository\n\nOurs."}
    world.script(
        Turn("I look.", (Tool("Read", {"file_path": "{cwd}/README.md"}),)),
        Turn("I edit.", (Tool("Edit", edit),)),
        Turn("I test.", (Tool("Bash", {"command": "echo '3 failed, 2 passed in 1 s'; exit 1"}),)),
        Turn("Done."),
    )
    with caplog.at_level(logging.INFO):
        run().delivered()
    messages = [record.getMessage() for record in caplog.records]
    for line in (
        "reads README.md",
        "edits README.md (+3 \u22121)",
        "runs echo '3 failed, 2 passed in 1 s'; exit 1 → exit 1, 3 failed, 2 passed",
        "says: Done.",
    ):
        assert line in messages


def test_a_token_that_is_not_bound_is_named_in_the_report_and_once_in_the_log(
    world: World, run: Callable[..., Run], caplog: pytest.LogCaptureFixture
) -> None:
    flow_run = run()
    assert "| Warning | the git token is not bound to a host: anyone who can start a run" in flow_run.artifact()
    assert "python -m deployments secret --repository" in flow_run.artifact()
    assert caplog.text.count("the git token is not bound to a host") == 1
    caplog.clear()
    server = world.stack.git.url
    secret = {"token": GIT_TOKEN, "email": GIT_EMAIL, "repositories": [f"{server}/{world.name}"]}
    world.stack.put_secret(json.dumps(secret), world.name)
    bound_run = run(git_credentials_secret_id=world.name)
    bound_run.delivered()
    assert "not bound" not in bound_run.artifact() + caplog.text
