"""A person's whole way through Prefect's UI: the form, what it refuses, the run as it goes, and its report."""

import re

import httpx
import pytest
from playwright.sync_api import expect

from deployments.local import scripts
from deployments.local.demo import SAMPLE
from deployments.local.scripted_model import Script, Turn
from deployments.local.stack import LocalStack
from tests.ui.browser import PrefectPages

pytestmark = pytest.mark.timeout(300)
SECONDS_A_TURN = 4
"""So that there is something to watch."""


@pytest.fixture(scope="module")
def repo_url(stack: LocalStack) -> str:
    """The sample repository."""
    return stack.git.create("todo", SAMPLE / "repository")


@pytest.fixture(scope="module")
def instructions(stack: LocalStack) -> str:
    """The sample instructions, and a model that takes its time over them."""
    turns = (Turn(turn.text, turn.tools, seconds=SECONDS_A_TURN) for turn in scripts.todo_api().turns)
    stack.model.script = Script(tuple(turns))
    return stack.upload(SAMPLE / "instructions", "todo")


def open_form(pages: PrefectPages) -> None:
    pages.open("/deployments")
    pages.page.get_by_role("link", name="local", exact=True).first.click()
    pages.press("Run")
    pages.page.get_by_text("Custom run").click()
    pages.sees("Instructions in S3")


def runs(stack: LocalStack) -> list[dict[str, str]]:
    found: list[dict[str, str]] = httpx.post(f"{stack.prefect_api_url}/flow_runs/filter", json={}, timeout=60).json()
    return found


@pytest.mark.parametrize(
    ("title", "wrong", "reason"),
    [
        ("Repository", "file:///etc", "an https URL without user or token"),
        ("Repository", "https://user:token@example.com/a/b", "an https URL without user or token"),
        ("Instructions in S3", "bucket/file.md", "s3://bucket/file or s3://bucket/folder/"),
        ("Branch to push", "-x", "a name that git takes"),
    ],
)
def test_the_form_refuses_what_cannot_be_before_there_is_a_run(
    pages: PrefectPages, stack: LocalStack, title: str, wrong: str, reason: str
) -> None:
    before = len(runs(stack))
    open_form(pages)
    pages.field("Repository").fill("https://example.com/owner/repository.git")
    pages.field("Instructions in S3").fill("s3://bucket/folder/*")
    pages.field(title).fill(wrong)
    with pages.page.expect_response(re.compile("create_flow_run")) as answered:
        pages.press("Submit")
    assert answered.value.status == 409, answered.value.text()
    pages.sees(reason)
    assert len(runs(stack)) == before


def test_a_run_is_started_with_two_fields_watched_and_read(
    pages: PrefectPages, stack: LocalStack, repo_url: str, instructions: str
) -> None:
    open_form(pages)
    pages.field("Repository").fill(repo_url)
    pages.field("Instructions in S3").fill(instructions)
    pages.picture("form")
    with pages.page.expect_response(re.compile("create_flow_run")) as created:
        pages.press("Submit")
    run_id = created.value.json()["id"]

    pages.open(f"/runs/flow-run/{run_id}")
    pages.sees("reads api-spec.yaml", seconds=90)
    pages.picture("running")
    pages.tab("Artifacts")
    pages.sees("PROGRESS")
    pages.page.get_by_text("PROGRESS").first.click()
    pages.sees("of 200 turns")
    pages.picture("progress")

    pages.open(f"/runs/flow-run/{run_id}")
    pages.sees("Completed", seconds=90)
    pages.sees("outcome:delivered", "repo:todo", "pushed ")
    pages.picture("completed")
    pages.tab("Artifacts")
    pages.picture("artifacts")
    pages.page.get_by_text("What the run did").first.click()
    pages.page.get_by_text("implement-todo", exact=True).first.click()
    pages.sees("Pushed 2 files", "$0.0", "todo/api.py", "transcript.html")
    branch = next(run["name"] for run in runs(stack) if run["id"] == run_id).partition(" @ ")[2]
    expect(pages.page.get_by_text(branch).first).to_be_visible()
    expect(pages.page.get_by_text("+def create_todo(store: Store, title: str)").first).to_be_attached()
    pages.picture("report")
    assert stack.git.git("todo", "show", f"{branch}:todo/api.py").startswith('"""The operations')

    pages.open("/runs")
    pages.sees(f"todo @ {branch}")
    pages.picture("runs")
