"""What a run shows of itself: artifacts, tags and a report among its keepings, whatever became of it."""

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

TAGS = {"repo", "model", "outcome"}


def artifacts(run: Run) -> dict[str, dict[str, Any]]:
    mine = {"flow_runs": {"id": {"any_": [run.id]}}}
    rows = httpx.post(f"{run.api_url}/artifacts/filter", json=mine).json()
    return {row["key"] or row["type"]: row for row in rows if row["type"]}


def tags(run: Run) -> dict[str, str]:
    found: list[str] = httpx.get(f"{run.api_url}/flow_runs/{run.id}").json()["tags"]
    return {name: value for name, _, value in (tag.partition(":") for tag in found)}


def test_a_run_has_a_report_a_table_of_steps_and_its_progress(world: World, run: Callable[..., Run]) -> None:
    done = run()
    shown = artifacts(done)
    assert shown.keys() == {f"implement-{world.name}-report", f"implement-{world.name}-steps", "progress"}
    assert shown[f"implement-{world.name}-report"]["description"] == done.state.message
    assert done.saved_file("report.md").read_text() == done.artifact()
    assert shown["progress"]["data"] == 100
    assert "2 of 200 turns" in shown["progress"]["description"]
    steps = {row["step"]: row for row in json.loads(shown[f"implement-{world.name}-steps"]["data"])}
    assert sorted(steps) == ["claude", "clone", "instructions", "push", "secret"]
    assert {row["state"] for row in steps.values()} == {"Completed"}
    assert steps["claude"]["attempts"] == 1


def test_a_run_can_be_found_by_repository_branch_model_and_outcome(world: World, run: Callable[..., Run]) -> None:
    assert tags(run(provider="anthropic", branch_name="x")) == {
        "repo": world.name, "branch": "x", "model": "claude-sonnet-5-5", "outcome": "delivered"
    }  # fmt: skip
    world.script(Turn("It is all there already."))
    assert tags(run())["outcome"] == "no-changes"


def test_tags_of_others_stay(run: Callable[..., Run]) -> None:
    from prefect import tags as tagged  # noqa: PLC0415

    with tagged("claude-code", "outcome:of-an-earlier-execution"):
        done = run()
    found = httpx.get(f"{done.api_url}/flow_runs/{done.id}").json()["tags"]
    assert "claude-code" in found
    assert [tag for tag in found if tag.startswith("outcome:")] == ["outcome:delivered"]


def test_a_change_that_was_stopped_has_a_report_with_the_way_on(world: World, run: Callable[..., Run]) -> None:
    world.shell("mkdir .circleci; echo x > .circleci/config.yml")
    stopped = run(branch_name="the-branch")
    report = stopped.artifact()
    assert report.startswith("# Failed: CiFilesChanged")
    assert f"git fetch {stopped.saved_file('change.bundle')} the-branch" in report
    assert f"-p flow_run_id={stopped.id} -p 'policy={{\"allow_ci_changes\": true}}'" in report
    assert "+x" in report
    assert "| push | Failed |" in report
    assert stopped.saved_file("report.md").read_text() == report
    assert tags(stopped)["outcome"] == "failed"


def test_an_agent_that_ran_out_of_turns_is_reported_with_what_it_did(world: World, run: Callable[..., Run]) -> None:
    world.script(*(Turn(f"Step {n}.", (Tool("Bash", {"command": f"echo {n} >> steps.txt"}),)) for n in range(9)))
    stopped = run(limits={"max_turns": 3})
    assert isinstance(stopped.error, errors.TurnLimitReached)
    report = stopped.artifact()
    assert "`steps.txt` | +3 |" in report
    assert "| Turns, cost, time | 4, $" in report
    assert "*Retry*" in report


@pytest.mark.parametrize(
    ("parameters", "name"),
    [({"repo_url": "https://user:the-password@h/r"}, "InvalidRepoUrl"), ({"claude_code_block": "no"}, "BlockNotFound")],
)
def test_a_run_that_was_refused_has_a_report_too(
    run: Callable[..., Run], parameters: dict[str, Any], name: str
) -> None:
    refused = run(**parameters)
    report = refused.artifact()
    assert report.startswith(f"# Failed: {name}")
    assert "the-password" not in report
    assert refused.saved_file("report.md").read_text() == report
    assert tags(refused) == {"outcome": "failed"}


def test_an_api_that_takes_no_artifact_and_no_tag_fails_no_run(
    world: World, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: object, **__: object) -> None:
        raise httpx.ConnectError("the API is away")

    for call in ("create_artifact", "update_artifact", "update_flow_run"):
        monkeypatch.setattr(SyncPrefectClient, call, away)
    done = run()
    assert world.git("rev-parse", done.delivered().branch) == done.delivered().commit
    assert done.saved_file("report.md").exists()
    assert sum("a part of the report is missing" in record.getMessage() for record in caplog.records) == 3


def test_a_report_that_cannot_be_made_changes_no_outcome(
    world: World, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> str:
        raise errors.GitFailed("the objects cannot be read")

    monkeypatch.setattr("flows.run.summary.patch", broken)
    done = run()
    assert world.git("rev-parse", done.delivered().branch) == done.delivered().commit
    world.shell("mkdir .circleci; echo x > .circleci/config.yml")
    assert isinstance(run().error, errors.CiFilesChanged)


def test_the_agents_steps_are_in_the_log_with_what_came_of_them(
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
    said = [record.getMessage() for record in caplog.records]
    for line in (
        "reads README.md",
        "edits README.md (+3 \u22121)",
        "runs echo '3 failed, 2 passed in 1 s'; exit 1 → exit 1, 3 failed, 2 passed",
        "says: Done.",
    ):
        assert line in said


def test_a_token_that_is_not_bound_is_said_in_the_report_and_once_in_the_log(
    world: World, run: Callable[..., Run], caplog: pytest.LogCaptureFixture
) -> None:
    done = run()
    assert "| Warning | the git token is not bound to a host: anyone who can start a run" in done.artifact()
    assert "python -m deployments secret --repository" in done.artifact()
    assert caplog.text.count("the git token is not bound to a host") == 1
    caplog.clear()
    server = world.stack.git.url
    own = {"token": GIT_TOKEN, "email": GIT_EMAIL, "repositories": [f"{server}/{world.name}"]}
    world.stack.put_secret(json.dumps(own), world.name)
    bound = run(git_credentials_secret_id=world.name)
    bound.delivered()
    assert "not bound" not in bound.artifact() + caplog.text
