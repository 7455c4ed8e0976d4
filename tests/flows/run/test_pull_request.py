"""What a pull request says follows from the run: its branches, title, text and template, and whether it is a draft."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prefect.filesystems import LocalFileSystem

from flows.errors import InvalidPullRequest
from flows.instructions.files import InstructionFile, Instructions
from flows.outcome.timing import StepTimes
from flows.parameters.implement import ImplementParameters
from flows.parameters.pull_request import PullRequest
from flows.repository.clone import Checkout
from flows.repository.collect import Change
from flows.repository.remote_refs import RemoteRefs
from flows.run.pull_request import base_branch, is_draft, request_for, template, without_draft
from flows.run.run import DeliverRun, Run
from flows.sandbox.workspace import Workspace, workspace
from flows.state.agent_report import AgentReport
from flows.state.records import FinishedWork, Plan
from flows.state.saved_run import SavedRun
from flows.state.store import RunStore
from flows.state.verifications import Round, Verifications
from flows.verification.results import CommandResult, Status, Verdict, Verification

REFS = RemoteRefs({"main": "a" * 40, "release": "b" * 40, "work": "c" * 40}, "main")
IDENTITY = ("-c", "user.name=x", "-c", "user.email=x@example.com")
REPORT = AgentReport("Why it is so.", 3, 0.5, 60, "s", {"claude-x": {}}, (), title="The agent's title")


@pytest.fixture
def directories() -> Iterator[Workspace]:
    with workspace() as directories:
        yield directories


def git(directories: Workspace, *arguments: str, text: str = "") -> str:
    command = ["git", *IDENTITY, "--git-dir", str(directories.clean_git), *arguments]
    environment = {"PATH": os.environ["PATH"], "GIT_INDEX_FILE": str(directories.trusted / "test-index")}
    process = subprocess.run(command, input=text, capture_output=True, text=True, check=True, env=environment)
    return process.stdout.strip()


def commit(directories: Workspace, subject: str = "Say hello", **files: str) -> str:
    """Return a new commit that also has these files; `__` in a name stands for a slash."""
    if not directories.clean_git.exists():
        subprocess.run(["git", "init", "-q", "--bare", str(directories.clean_git)], check=True)
    for name, content in files.items():
        blob = git(directories, "hash-object", "-w", "--stdin", text=content)
        entry = f"100644,{blob},{name.replace('__', '/')}"
        git(directories, "update-index", "--add", "--cacheinfo", entry)
    return git(directories, "commit-tree", git(directories, "write-tree"), "-m", subject)


def open_run(directories: Workspace, store: Path, checkout: Checkout, **parameters: object) -> Run:
    request = ImplementParameters(
        **{"repo_url": "https://github.com/o/r", "instructions": "x", "branch_name": "work", **parameters}
    )
    saved = SavedRun(RunStore(LocalFileSystem(basepath=str(store)), "the-run"))
    file = InstructionFile("main.md", 5, version_id="v1")
    instructions = Instructions("s3://bucket/main.md", (file,), "main.md", "Say hello.")
    saved.plan = Plan(request.repo_url.url, checkout, instructions, datetime.now(UTC))
    saved.finished = FinishedWork("c", REPORT, b"bundle", ("files were left out: .aider",))
    return DeliverRun(request, directories, saved, StepTimes(), [], apply_to_latest=False)


@pytest.mark.parametrize("status", [*Status, None])
def test_only_a_change_for_which_its_verification_speaks_can_be_ready(status: Status | None) -> None:
    assert is_draft("draft", status)
    assert is_draft("ready", status) is (status not in {Status.VERIFIED, Status.NOT_ASKED, None})


@pytest.mark.parametrize(
    ("checkout", "parameters", "expected"),
    [
        (Checkout("new", "main", "a"), {}, "main"),
        (Checkout("new", "release", "a"), {}, "release"),
        (Checkout("new", "release", "a"), {"pull_request": PullRequest(pull_request_base="main")}, "main"),
        (Checkout("work", "work", "a"), {}, "main"),
        (Checkout("work", "work", "a"), {"base_branch": "release"}, "release"),
        (Checkout("new", "v1", "a", base_ref="refs/tags/v1"), {}, "main"),
        (Checkout("new", "deleted", "a"), {}, "main"),
    ],
    ids=["default", "start", "parameter", "continued", "continued with a base", "tag", "deleted"],
)
def test_the_base_is_the_parameter_or_the_start_or_the_default_branch(
    directories: Workspace, tmp_path: Path, checkout: Checkout, parameters: dict[str, object], expected: str
) -> None:
    run = open_run(directories, tmp_path, checkout, **parameters)
    assert base_branch(run, checkout, REFS) == expected


def test_a_base_that_the_remote_does_not_have_is_named(directories: Workspace, tmp_path: Path) -> None:
    checkout = Checkout("new", "main", "a")
    run = open_run(directories, tmp_path, checkout, pull_request=PullRequest(pull_request_base="nowhere"))
    with pytest.raises(InvalidPullRequest, match="'nowhere'"):
        base_branch(run, checkout, REFS)
    on_main = Checkout("main", "main", "a")
    with pytest.raises(InvalidPullRequest, match="no branch into which 'main'"):
        base_branch(open_run(directories, tmp_path, on_main), on_main, REFS)


def test_the_title_is_the_parameter_or_the_agents_or_the_subject(directories: Workspace, tmp_path: Path) -> None:
    base, work = commit(directories, "First"), commit(directories, "Say hello", hello="hello")
    checkout = Checkout("work", "main", base)
    change = Change(work, checkout)
    run = open_run(directories, tmp_path, checkout, pull_request=PullRequest(pull_request_title="Fix #7"))
    assert request_for(run, change, "main").draft.title == "Fix #7"
    run = open_run(directories, tmp_path, checkout)
    assert request_for(run, change, "main").draft.title == "The agent's title"
    assert run.saved.finished
    run.saved.finished = replace(run.saved.finished, report=replace(REPORT, title=""))
    assert request_for(run, change, "main").draft.title == "Say hello"
    run.saved.finished = replace(run.saved.finished, report=None)
    unreported = request_for(run, change, "main")
    assert unreported.draft.title == "Say hello"
    assert without_draft(unreported, Status.FAILED).draft.title == "[unverified] Say hello"
    assert without_draft(unreported, Status.VERIFIED).draft.title == "Say hello"


def test_the_body_says_what_was_asked_and_checked_and_at_what_cost(directories: Workspace, tmp_path: Path) -> None:
    base, work = commit(directories, "First"), commit(directories, hello="hello")
    checkout = Checkout("work", "main", base, verify_commands="npm test")
    run = open_run(directories, tmp_path, checkout, pull_request=PullRequest(pull_request="ready"))
    change = Change(work, checkout)
    unchecked = request_for(run, change, "main").draft
    assert unchecked.is_draft
    assert "**Checked:** nothing was run on this commit, although the run has verify commands" in unchecked.body
    result = CommandResult("npm test", Verdict.PASSED, 0, 2.0)
    verification = Verification("tree", (result,), changed_checks=("package.json: test",))
    run.saved.verifications = Verifications((Round(0, ("npm test",), work, verification),))
    body = request_for(run, change, "main").draft.body
    for text in (
        "> Why it is so.",
        "`s3://bucket/main.md (main.md, version v1)`",
        "Say hello.",
        "- `npm test`: passed, exit status 0, 2 s",
        "the change touches the checks: package.json: test",
        "files were left out",
        "$0.50, 3 turns, claude-x",
        '"branch_name": "work"',
        '"pull_request": {"pull_request": "ready"}',
        "`the-run`",
    ):
        assert text in body.replace("\u2060", ""), text
    assert "127.0.0.1" not in body


@pytest.mark.parametrize(
    "name",
    ["PULL_REQUEST_TEMPLATE.md", ".github__pull_request_template.md", ".gitlab__merge_request_templates__Default.md"],
)
def test_the_template_comes_from_the_base_and_not_from_a_branch_that_a_run_continues(
    directories: Workspace, tmp_path: Path, name: str
) -> None:
    base = commit(directories, other="x", docs__guide="x", **{name: "## Checklist\n"})
    checkout = Checkout("work", "main", base)
    run = open_run(directories, tmp_path, checkout)
    assert template(run, Change(base, checkout)) == "## Checklist\n"
    continued = Checkout("work", "work", base)
    assert template(run, Change(base, continued)) == ""


def test_a_repository_without_a_usable_template_has_none(directories: Workspace, tmp_path: Path) -> None:
    base = commit(directories, docs__pull_request_template="x", PULL_REQUEST_TEMPLATE="x")
    checkout = Checkout("work", "main", base)
    assert template(open_run(directories, tmp_path, checkout), Change(base, checkout)) == ""
