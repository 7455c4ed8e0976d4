"""What a pull request says follows from the run: its branches, title, text and template, and whether it is a draft."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.errors import InvalidPullRequest
from flows.instructions.files import Instructions, IssueSource
from flows.parameters.change_policy import ChangePolicy
from flows.parameters.pull_request import PullRequest
from flows.repository.clone import Checkout
from flows.repository.collect import Change
from flows.repository.remote_refs import RemoteRefs
from flows.run.pull_request import base_branch, is_draft, request_for, template, without_draft
from flows.sandbox.workspace import Workspace, workspace
from flows.state.agent_report import AgentReport, WorkStatus
from flows.state.verifications import Round, Verifications
from flows.verification.results import CommandResult, Status, Verdict, Verification
from tests.support.finished_run import REPORT, commit, open_run

REFS = RemoteRefs({"main": "a" * 40, "release": "b" * 40, "work": "c" * 40}, "main")


@pytest.fixture
def directories() -> Iterator[Workspace]:
    with workspace() as directories:
        yield directories


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
    run = open_run(directories, tmp_path, checkout, pull_request=PullRequest(pull_request_base="release"))
    with pytest.raises(InvalidPullRequest, match="also the branch to push"):
        base_branch(run, Checkout("release", "main", "a"), REFS)
    on_main = Checkout("main", "main", "a")
    with pytest.raises(InvalidPullRequest, match="no branch into which 'main'"):
        base_branch(open_run(directories, tmp_path, on_main), on_main, REFS)


def test_the_title_is_the_parameter_or_the_agents_or_the_subject(directories: Workspace, tmp_path: Path) -> None:
    base, work = commit(directories, "First"), commit(directories, "Say hello", hello="hello")
    checkout = Checkout("work", "main", base)
    change = Change(work, checkout)
    run = open_run(directories, tmp_path, checkout, pull_request=PullRequest(pull_request_title="Fix #7"))
    assert request_for(run, change, "main", REFS).draft.title == "Fix #7"
    run = open_run(directories, tmp_path, checkout)
    assert request_for(run, change, "main", REFS).draft.title == "The agent's title"
    assert run.saved.finished
    run.saved.finished = replace(run.saved.finished, report=replace(REPORT, title=""))
    assert request_for(run, change, "main", REFS).draft.title == "Say hello"
    run.saved.finished = replace(run.saved.finished, report=None)
    unreported = request_for(run, change, "main", REFS)
    assert unreported.draft.title == "Say hello"
    assert without_draft(unreported, Status.FAILED).draft.title == "[unverified] Say hello"
    assert without_draft(unreported, Status.VERIFIED).draft.title == "Say hello"


def test_the_body_says_what_was_asked_and_checked_and_at_what_cost(directories: Workspace, tmp_path: Path) -> None:
    base, work = commit(directories, "First"), commit(directories, hello="hello")
    checkout = Checkout("work", "main", base, verify_commands="npm test")
    run = open_run(directories, tmp_path, checkout, pull_request=PullRequest(pull_request="ready"))
    change = Change(work, checkout)
    unchecked = request_for(run, change, "main", REFS).draft
    assert unchecked.is_draft
    assert "**Checked:** nothing was run on this commit, although the run has verify commands" in unchecked.body
    result = CommandResult("npm test", Verdict.PASSED, 0, 2.0)
    verification = Verification("tree", (result,), changed_checks=("package.json: test",))
    run.saved.verifications = Verifications((Round(0, ("npm test",), work, verification),))
    body = request_for(run, change, "main", REFS).draft.body
    for text in (
        "> Why it is so.",
        "`s3://bucket/main.md (main.md, version v1)`",
        "Say hello.",
        "- `npm test`: passed, exit status 0",
        "the change touches the checks: package.json: test",
        "files were left out",
        "0.50 USD, 3 turns, claude-x, Claude Code 2.1",
        """follow_up/local --params '{"flow_run_id": "the-run"}'""",
        "`the-run`",
    ):
        assert text in body.replace("\u2060", ""), text
    assert "127.0.0.1" not in body


def body_for_issue(
    directories: Workspace,
    store: Path,
    report: AgentReport,
    status: Status | None = None,
    **changes: Any,  # noqa: ANN401 (of any type)
) -> str:
    """Return the text of the pull request of a run that was started from an issue."""
    base, work = commit(directories, "First"), commit(directories, hello="hello")
    checkout = Checkout("work", "main", base, verify_commands="npm test" if status else "")
    run = open_run(directories, store, checkout, pull_request=PullRequest(pull_request="ready"))
    issue = IssueSource("https://github.com/o/r", 12, "https://github.com/o/r/issues/12", "#12", "ada (id 11), who may")
    assert run.saved.plan
    assert run.saved.finished
    instructions = Instructions(issue.url, (), "issue-12.md", "Its text.", replace(issue, **changes))
    run.saved.plan = replace(run.saved.plan, instructions=instructions)
    run.saved.finished = replace(run.saved.finished, report=report)
    if status:
        verdict = Verdict.PASSED if status is Status.VERIFIED else Verdict.FAILED
        results = (CommandResult("npm test", verdict, 0, 2.0),)
        verification = Verification("tree", results, failures=results if status is Status.FAILED else ())
        run.saved.verifications = Verifications((Round(0, ("npm test",), work, verification),))
    return request_for(run, Change(work, checkout), "main", REFS).draft.body


DONE = replace(REPORT, status=WorkStatus.DONE, summary="Why. Fixes #7.")


@pytest.mark.parametrize(
    ("report", "status", "changes", "word"),
    [
        (DONE, None, {}, "Fixes"),
        (DONE, Status.VERIFIED, {}, "Fixes"),
        (DONE, Status.FAILED, {}, "Refs"),
        (replace(DONE, status=WorkStatus.PARTLY), None, {}, "Refs"),
        (replace(DONE, not_done=("the tests",)), None, {}, "Refs"),
        (replace(DONE, status=WorkStatus.UNKNOWN), None, {}, "Refs"),
        (DONE, None, {"is_partly_done": True}, "Refs"),
    ],
    ids=["done", "verified", "failed", "partly", "something undone", "nothing said", "partly done before"],
)
def test_only_a_change_that_does_all_closes_the_issue(
    report: AgentReport,
    status: Status | None,
    changes: dict[str, object],
    word: str,
    directories: Workspace,
    tmp_path: Path,
) -> None:
    body = body_for_issue(directories, tmp_path, report, status, **changes)
    assert f"\n\n**Asked:** `https://github.com/o/r/issues/12`\n\n{word} #12\n\n" in body
    assert "Its text." not in body, "who sees the pull request may not see the issue"
    assert "#7" not in body, "the agent closes nothing"
    assert "opened by" not in body


def test_a_reviewer_learns_that_the_issue_is_a_strangers(directories: Workspace, tmp_path: Path) -> None:
    body = body_for_issue(
        directories, tmp_path, DONE, is_by_stranger=True, author="eve (id 13), who may not push to the repository"
    )
    assert "- the issue was opened by eve (id 13), who may not push to the repository" in body


def test_a_reviewer_learns_what_only_the_policy_of_the_run_allowed(directories: Workspace, tmp_path: Path) -> None:
    base = commit(directories, "First")
    files = {".github__workflows__ci.yml": "on: push", ".vscode__tasks.json": "{}", "other": "x"}
    checkout, change = Checkout("work", "main", base), commit(directories, **files)
    policy = ChangePolicy(allow_ci_changes=True, allow_agent_files=True)
    body = request_for(open_run(directories, tmp_path, checkout, policy=policy), Change(change, checkout), "main", REFS)
    text = body.draft.body.replace("\u2060", "")
    assert "- the change touches files that CI runs with its own credentials: '.github/workflows/ci.yml'\n" in text
    assert "- the change touches files that make agents and editors run programs when they open" in text
    assert "allow_" not in text, "the command for the next run is for everybody to read"
    run = open_run(directories, tmp_path, checkout, policy=ChangePolicy(max_file_mb=50))
    assert "the change touches" not in request_for(run, Change(base, checkout), "main", REFS).draft.body


@pytest.mark.parametrize(
    "name",
    ["PULL_REQUEST_TEMPLATE.md", ".github__pull_request_template.md", ".gitlab__merge_request_templates__Default.md"],
)
def test_the_template_comes_from_the_default_branch_and_not_from_one_that_an_agent_may_have_written(
    directories: Workspace, tmp_path: Path, name: str
) -> None:
    base = commit(directories, other="x", docs__guide="x", **{name: "## Checklist\n"})
    checkout = Checkout("work", "main", base)
    run = open_run(directories, tmp_path, checkout)
    assert template(run, Change(base, checkout), REFS) == "## Checklist\n"
    continued = Checkout("work", "work", base)
    for other in (
        continued,
        Checkout("work", "release", base),
        Checkout("work", "main", base, base_ref="refs/tags/main"),
        Checkout("work", base, base, base_ref=base),
    ):
        assert template(run, Change(base, other), REFS) == ""


def test_a_repository_without_a_usable_template_has_none(directories: Workspace, tmp_path: Path) -> None:
    base = commit(directories, docs__pull_request_template="x", PULL_REQUEST_TEMPLATE="x")
    checkout = Checkout("work", "main", base)
    assert template(open_run(directories, tmp_path, checkout), Change(base, checkout), REFS) == ""
