"""A person's whole way through Prefect's UI: the form, the values it refuses, the run, its report, its pull request."""

import re
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from playwright.sync_api import expect
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentUpdate

from deployments.local import scripts
from deployments.local.demo import SAMPLE
from deployments.local.forge import LocalForge
from deployments.local.scripted_model import Script
from deployments.local.served import Server
from deployments.local.stack import LocalStack
from tests.ui.browser import PrefectPages

pytestmark = pytest.mark.timeout(300)
SECONDS_PER_TURN = 4
"""Slow enough to watch the run."""


@pytest.fixture(scope="module")
def repo_url(stack: LocalStack, server: Server) -> Iterator[str]:
    """The sample repository, on a forge. The deployment asks for pull requests on it."""
    server.check()
    stack.git.create("todo", SAMPLE / "repository")
    parameters = {"forge": "gitea", "pull_request": {"pull_request": "ready"}}
    with LocalForge(stack.git) as forge:
        with get_client(sync_client=True) as prefect:  # it tries again if the server's database is busy
            deployment = prefect.read_deployment_by_name("implement/local").id
            prefect.update_deployment(deployment, DeploymentUpdate(parameters=parameters))
        yield forge.repo_url("todo")


@pytest.fixture(scope="module")
def instructions(stack: LocalStack) -> str:
    """The URI of the sample instructions. It also sets a model that replies slowly."""
    turns = (replace(turn, seconds=SECONDS_PER_TURN) for turn in scripts.todo_api().turns)
    stack.model.script = Script(tuple(turns))
    return stack.upload(SAMPLE / "instructions", "todo")


def open_form(pages: PrefectPages) -> None:
    pages.open("/deployments")
    pages.page.get_by_role("link", name="local", exact=True).first.click()
    pages.press("Run")
    pages.page.get_by_text("Custom run").click()
    pages.expect_texts("Instructions in S3")


def runs(stack: LocalStack) -> list[dict[str, str]]:
    flow_runs: list[dict[str, str]] = httpx.post(
        f"{stack.prefect_api_url}/flow_runs/filter", json={}, timeout=60
    ).json()
    return flow_runs


@pytest.mark.parametrize(
    ("title", "invalid_value", "reason"),
    [
        ("Repository", "file:///etc", "an https URL without user or token"),
        ("Repository", "https://user:token@example.com/a/b", "an https URL without user or token"),
        ("Instructions in S3", "bucket/file.md", "s3://bucket/file or s3://bucket/folder/"),
        ("Branch to push", "-x", "a valid branch name"),
    ],
)
def test_the_form_refuses_an_invalid_value_before_it_creates_a_run(
    pages: PrefectPages, stack: LocalStack, title: str, invalid_value: str, reason: str
) -> None:
    before = len(runs(stack))
    open_form(pages)
    pages.field("Repository").fill("https://example.com/owner/repository.git")
    pages.field("Instructions in S3").fill("s3://bucket/folder/*")
    pages.field(title).fill(invalid_value)
    with pages.page.expect_response(re.compile("create_flow_run")) as response_info:
        pages.press("Submit")
    assert response_info.value.status == 409, response_info.value.text()
    pages.expect_texts(reason)
    assert len(runs(stack)) == before


def test_a_run_is_started_with_two_fields_and_watched_and_its_report_is_read(
    pages: PrefectPages, stack: LocalStack, repo_url: str, instructions: str
) -> None:
    open_form(pages)
    pages.field("Repository").fill(repo_url)
    pages.field("Instructions in S3").fill(instructions)
    pages.picture("form")
    with pages.page.expect_response(re.compile("create_flow_run")) as response_info:
        pages.press("Submit")
    run_id = response_info.value.json()["id"]

    pages.open(f"/runs/flow-run/{run_id}")
    pages.expect_texts("reads api-spec.yaml", seconds=90)
    pages.picture("running")
    pages.tab("Artifacts")
    pages.expect_texts("PROGRESS")
    pages.page.get_by_text("PROGRESS").first.click()
    pages.expect_texts("of 200 turns")
    pages.picture("progress")

    pages.open(f"/runs/flow-run/{run_id}")
    pages.expect_texts("outcome:delivered", seconds=150)
    pages.expect_texts("Completed")
    pages.picture("completed")
    pages.page.locator(".p-tag-wrapper__tag-overflow").first.hover()  # Prefect hides the tags that have no room
    for tag in ("verified:yes", "repo:todo", f"pull-request:{repo_url.removesuffix('.git')}/pulls/1"):
        expect(pages.page.get_by_text(tag).last).to_be_visible()
    pages.tab("Task Runs")
    pages.expect_texts("claude repair 1", "verify 2", "push")
    pages.tab("Artifacts")
    pages.picture("artifacts")
    pages.page.get_by_text("implement-demo-todo-report", exact=True).first.click()
    pages.expect_texts("Pushed 2 files", "$0.0", "todo/api.py", "transcript.html")
    branch = next(run["name"] for run in runs(stack) if run["id"] == run_id).partition(" @ ")[2]
    expect(pages.page.get_by_text(branch).first).to_be_visible()
    expect(pages.page.get_by_text("+def create_todo(store: Store, title: str)").first).to_be_attached()
    pages.picture("report")
    page = f"{repo_url.removesuffix('.git')}/pulls/1"
    expect(pages.page.get_by_role("link", name=page).first).to_be_visible()
    assert stack.git.git("todo", "show", f"{branch}:todo/api.py").startswith('"""The operations')

    pages.open("/runs")
    pages.expect_texts(f"todo @ {branch}")
    pages.picture("runs")

    pages.page.goto(page)
    pages.expect_texts(
        "Implement the three operations of the todo API", branch, "python3 -m unittest", "10 turns", run_id
    )
    pages.expect_texts("passed, exit status 0", "claude-code: success")
    expect(pages.page.get_by_text("claude-code-headless:begin")).to_have_count(0)
    pages.picture("pull-request")
