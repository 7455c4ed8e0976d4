"""The report of a run: its content for each outcome, its size limits, and that no text can break its structure."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from flows import errors
from flows.forges import table
from flows.forges.base import Forge, Links, PushedCommit
from flows.instructions.files import InstructionFile, Instructions, IssueSource
from flows.model.cache_use import CacheUse
from flows.outcome.pull_request import PullRequestResult
from flows.outcome.review import ReviewSummary
from flows.outcome.summary import RunSummary, headline, title
from flows.outcome.timing import StepTime
from flows.parameters.addresses import RepoUrl
from flows.parameters.change_policy import ChangePolicy
from flows.reporting.report import render_report
from flows.repository.clone import Checkout
from flows.repository.collect import Change, FileChange
from flows.state.agent_report import AgentReport

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BASE = "fedcba9876543210fedcba9876543210fedcba98"
CHECKOUT = Checkout("feature/x", "main", BASE, "")
CHANGE = Change(COMMIT, CHECKOUT, (FileChange("a.py", 10, 2),))
USAGE = {"claude-sonnet-5-5": {"inputTokens": 1200, "outputTokens": 30, "cacheReadInputTokens": 4000}}
AGENT = AgentReport("I did it.", 3, 0.5, 61.25, "session", USAGE, (), cache=CacheUse(5200, 4000, 0.0107))
RUN_ID = "01a209bf-c200-70d0-8c32-6634ec7187d3"
BUNDLE = "s3://results/claude-code-headless/run/change.bundle"


def instructions_from(source: str, *files: InstructionFile) -> Instructions:
    return Instructions(source, files, "", "")


DELIVERED = RunSummary(
    flow_run_id=RUN_ID,
    deployment="ecs",
    repo_url=RepoUrl.parse("https://github.com/o/r.git"),
    model="claude-sonnet-5-5",
    checkout=CHECKOUT,
    instructions=instructions_from("s3://b/p/*", InstructionFile("main.md", 1234, "etag", "version-1", "a1" * 32)),
    change=CHANGE,
    patch="+hello\n",
    agent=AGENT,
    steps=(StepTime("clone", "Completed", 1.23, 2),),
)
NOTHING = dataclasses.replace(
    DELIVERED, change=Change("", CHECKOUT), patch="", agent=dataclasses.replace(AGENT, summary="", model_usage={})
)
APPLIED = dataclasses.replace(
    DELIVERED,
    change=Change(COMMIT, Checkout("feature/x", "feature/x", "1" * 40, ""), CHANGE.files, applied_to="1" * 40),
)
PRESENT = dataclasses.replace(DELIVERED, change=Change("", CHECKOUT, already_on="main"), patch="")
STOPPED = dataclasses.replace(
    DELIVERED,
    error=errors.CiFilesChanged("the change touches CI: set policy.allow_ci_changes if that is wanted"),
    saved_files={"change.bundle": BUNDLE, "plan": "s3://results/plan"},
)
ANSWERED = dataclasses.replace(NOTHING, review=ReviewSummary(3, 2, 2, ("eve (id 9), on the whole: a `bot`",)))
REVIEWED = dataclasses.replace(DELIVERED, review=ReviewSummary(3, 2, 1, ("eve: a bot", "bob: later")))
NOTHING_NEW = dataclasses.replace(NOTHING, review=ReviewSummary(0, 0, 0), agent=None)
REFUSED = RunSummary(RUN_ID, error=errors.InvalidRepoUrl("repo_url 'x' is not an https URL"))
CANCELLED = dataclasses.replace(STOPPED, error=KeyboardInterrupt("not for people"))
ANY_TEXT = st.lists(st.one_of(st.characters(), st.sampled_from("\ud800\udcff`|<[\n")), max_size=40).map("".join)


def report_with(summary: RunSummary, **fields: Any) -> str:  # noqa: ANN401 (any field of RunSummary)
    return render_report(dataclasses.replace(summary, **fields))


@pytest.mark.parametrize(
    ("summary", "name", "first_line", "expected_headline"),
    [
        (DELIVERED, "delivered", "Pushed 1 file", "Pushed 1 file to feature/x as 0123456789ab"),
        (NOTHING, "no-changes", "Nothing to change", "Nothing to change: feature/x was not pushed"),
        (
            APPLIED,
            "delivered",
            "Pushed 1 file",
            "Pushed 1 file to feature/x as 0123456789ab, applied to feature/x at 111111111111",
        ),
        (PRESENT, "no-changes", "Nothing to push", "Nothing to push: main has this change already"),
        (
            ANSWERED,
            "answered",
            "Answered 2 threads",
            "Answered 2 threads: feature/x was not pushed; 1 comment was not heard",
        ),
        (
            REVIEWED,
            "delivered",
            "Pushed 1 file",
            "Pushed 1 file to feature/x as 0123456789ab, answered 1 of 2 threads; 2 comments were not heard",
        ),
        (NOTHING_NEW, "no-changes", "Nothing new", "Nothing new: feature/x was not pushed"),
        (STOPPED, "failed", "Failed: CiFilesChanged", "Failed: CiFilesChanged"),
        (REFUSED, "failed", "Failed: InvalidRepoUrl", "Failed: InvalidRepoUrl"),
    ],
)
def test_the_outcome_is_the_first_line_of_the_report(
    summary: RunSummary, name: str, first_line: str, expected_headline: str
) -> None:
    assert (summary.outcome, title(summary), headline(summary)) == (name, first_line, expected_headline)
    assert render_report(summary).startswith(f"# {first_line}\n")


def instructions_of_issue(text: str, **fields: Any) -> Instructions:  # noqa: ANN401 (any field of IssueSource)
    url = "https://github.com/o/r/issues/12"
    issue = dataclasses.replace(
        IssueSource("https://github.com/o/r", 12, url, "#12", "eve (id 9), who may not"), **fields
    )
    return Instructions(url, (InstructionFile("issue-12.md", 9, sha256="a1" * 32),), "issue-12.md", text, issue)


def test_the_report_has_the_text_of_an_issue_as_it_was_taken_and_who_was_not_heard() -> None:
    taken = "The issue, by eve:\n> # Say hello\n> ```\n> [link](https://evil.example) @ada\n"
    issue = instructions_of_issue(taken, unheard=("bob (id 8), on the whole: a `bot`",), omission="only two comments")
    text = report_with(DELIVERED, instructions=issue)
    assert "| Issue | <https://github.com/o/r/issues/12>, by eve \\(id 9\\), who may not |" in text
    assert "| Issue not read | only two comments |" in text
    assert f"````\n{taken.rstrip()}\n````" in text
    assert "## Comments that were not heard\n\n> bob (id 8), on the whole: a `bot`" in text
    long = report_with(DELIVERED, instructions=instructions_of_issue("> x\n" * 10_000))
    assert "more characters: in the saved instructions" in long
    assert long.count("> x") < 10_000


def test_the_report_of_a_follow_up_says_who_was_heard_and_who_was_not() -> None:
    text = render_report(ANSWERED)
    assert "| Review heard | 3 comments heard, 2 of 2 threads answered, 1 not heard |" in text
    assert "## Comments that were not heard\n\n> eve (id 9), on the whole: a `bot`" in text
    assert "1 comment was not heard: the section" in text
    assert "follow_up/ecs" in text
    assert "reviewers_heard" not in text, "nothing makes a run hear this comment"
    assert (ANSWERED.result.answers, ANSWERED.result.unheard) == (2, ("eve (id 9), on the whole: a `bot`",))


@pytest.mark.parametrize(
    "row",
    [
        "| Repository | <https://github.com/o/r> |",
        "| Branch | [feature/x](<https://github.com/o/r/tree/feature/x>) |",
        f"| Commit | [{COMMIT}](<https://github.com/o/r/commit/{COMMIT}>) |",
        "| Started from | `main` at `fedcba987654` |",
        "| Review | [Open a pull request](<https://github.com/o/r/compare/main...feature/x?expand=1>), "
        "[compare](<https://github.com/o/r/compare/main...feature/x>) |",
        "| Model | `claude-sonnet-5-5` |",
        "| Turns, cost, time | 3, $0.5000, 61.2 s |",
        "| Tokens | 1,200 in, 30 out, 4,000 read from the cache |",
        "| Cache | 77% of the input tokens were read from the cache, which saved $0.0107 |",
        "| Tools denied | none |",
        f"| Flow run | `{RUN_ID}` |",
        "| `a.py` | +10 | \u22122 |",
        "| `main.md` | 1,234 | `version-1` | `a1a1a1a1a1a1a1a1` |",
        "| clone | Completed | 1.2 | 2 |",
        "> I did it.",
        "+hello",
    ],
)
def test_the_report_of_a_delivery_has_the_place_of_the_work_and_its_cost(row: str) -> None:
    assert row in render_report(DELIVERED).splitlines()


def test_the_report_of_an_applied_change_has_both_commits_that_it_stood_on() -> None:
    rows = render_report(APPLIED).splitlines()
    assert "| Started from | `main` at `fedcba987654` |" in rows
    assert "| Applied to | `feature/x` at `111111111111` |" in rows
    assert APPLIED.result.applied_to == "1" * 40


def test_an_unknown_host_gets_only_the_link_to_the_repository() -> None:
    text = report_with(DELIVERED, repo_url=RepoUrl.parse("https://git.example.com/o/r.git"))
    assert "| Repository | <https://git.example.com/o/r.git> |" in text
    assert "](<" not in text
    assert "| Branch | `feature/x` |" in text


def test_the_report_of_a_run_without_changes_has_no_diff() -> None:
    text = render_report(NOTHING)
    assert "| Commit | none |" in text
    assert "/tree/" not in text
    assert "## What Claude says\n\nNothing.\n" in text
    assert "## Files\n\nNo file changed.\n" in text
    assert "## Diff" not in text


def test_the_report_of_a_failure_has_its_message_and_the_saved_files() -> None:
    text = render_report(STOPPED)
    assert "> the change touches CI: set policy.allow\\_ci\\_changes if that is wanted" in text
    assert f"`aws s3 cp {BUNDLE} change.bundle && git fetch change.bundle feature/x && git show FETCH_HEAD`" in text
    assert f"- `{BUNDLE}`" in text
    assert "/tree/" not in text, "the branch was not pushed"
    assert "+hello" in text


def test_the_report_of_a_refused_run_leaves_out_what_is_unknown() -> None:
    text = render_report(REFUSED)
    assert "> repo\\_url 'x' is not an https URL" in text
    for part in ("Retry", "## Files", "## Diff", "## Steps", "## Saved files", "| Branch", "deliver"):
        assert part not in text


def test_denied_tools_a_changed_policy_and_warnings_are_reported() -> None:
    agent = dataclasses.replace(AGENT, permission_denials=("WebFetch", "Bash", "WebFetch"))
    policy = ChangePolicy(allow_ci_changes=True)
    text = report_with(DELIVERED, agent=agent, policy=policy, warnings=("the agent was not isolated",))
    assert "| Tools denied | `Bash` × 1, `WebFetch` × 2 |" in text  # noqa: RUF001
    assert "| Policy | not the default: `allow_ci_changes` |" in text
    assert "| Warning | the agent was not isolated |" in text


def test_a_binary_file_is_shown_as_such() -> None:
    text = report_with(DELIVERED, change=Change(COMMIT, CHECKOUT, (FileChange("logo.png", None, None),)))
    assert "| `logo.png` | binary |  |" in text.splitlines()


def test_long_lists_are_cut_and_end_with_the_number_of_further_items() -> None:
    files = tuple(FileChange(f"f{n}", 1, 0) for n in range(103))
    instructions = instructions_from(
        "s3://b/p/*", *(InstructionFile(f"i{n}.md", 1, sha256="a" * 64) for n in range(52))
    )
    lines = report_with(DELIVERED, change=Change(COMMIT, CHECKOUT, files), instructions=instructions).splitlines()
    assert sum(line.startswith("| `f") for line in lines) == 100
    assert sum(line.startswith("| `i") for line in lines) == 50
    assert "and 3 more" in lines
    assert "and 2 more" in lines


def test_a_long_diff_is_cut_and_ends_with_a_command_that_shows_the_rest() -> None:
    patch = "".join(f"+line {n}\n" for n in range(10_000))
    text = report_with(DELIVERED, patch=patch)
    assert "more characters: `git fetch https://github.com/o/r.git feature/x && git show FETCH_HEAD`" in text
    diff = report_with(STOPPED, patch=patch).rpartition("## Diff")[2]
    assert f"`aws s3 cp {BUNDLE} change.bundle && git fetch change.bundle feature/x" in diff


def test_the_largest_report_is_far_below_the_limit_of_the_api() -> None:
    long = "\U0001f600" * 100_000
    agent = dataclasses.replace(AGENT, summary=long, permission_denials=(long,), model_usage={long: {}})
    files = (FileChange(long, 1, 1),) * 1000
    instruction_files = (InstructionFile(long, 1, "", "v" * 1024, "a" * 64),) * 1000
    issue = instructions_of_issue(long, author=long, unheard=(long[:500],) * 1000, omission=long)
    text = report_with(
        STOPPED, agent=agent, change=Change(COMMIT, CHECKOUT, files),
        instructions=dataclasses.replace(issue, files=instruction_files),
        patch=long, warnings=(long,), error=errors.AgentFailed(long),
    )  # fmt: skip
    assert len(text.encode()) < 700_000


@given(summary=ANY_TEXT, path=ANY_TEXT, name=ANY_TEXT, model=ANY_TEXT, denied=ANY_TEXT, patch=ANY_TEXT, error=ANY_TEXT)
def test_a_report_of_any_text_has_the_same_structure_and_can_be_encoded_as_utf_8(
    summary: str, path: str, name: str, model: str, denied: str, patch: str, error: str
) -> None:
    # Lone surrogates come from \ud800 in JSON (in a summary), and from bytes that are not UTF-8 (in a path).
    agent = AgentReport(summary, 1, 0.1, 1.0, "", {model: {}}, (denied,))
    change = Change(COMMIT, CHECKOUT, (FileChange(path, 1, 1),))
    instructions = instructions_from(name, InstructionFile(name, 1, "", name, "a" * 64))
    text = report_with(
        STOPPED, agent=agent, change=change, instructions=instructions,
        patch=f"{patch}+", error=errors.AgentFailed(error), warnings=(error,),
    )  # fmt: skip
    assert text.encode()
    top_level = [token for token in MarkdownIt("gfm-like", {"linkify": False}).parse(text) if token.level == 0]
    assert [token.tag for token in top_level if token.type == "heading_open"] == ["h1"] + ["h2"] * 7


def test_the_report_of_an_interrupted_run_has_no_error_message() -> None:
    report = render_report(CANCELLED)
    assert (CANCELLED.outcome, title(CANCELLED), headline(CANCELLED)) == ("interrupted", "Interrupted", "Interrupted")
    assert report.startswith("# Interrupted\n")
    assert "not for people" not in report
    assert not CANCELLED.links.branch


class ExampleForge(Forge):
    hosts = r"forge\.example"

    def links(self, page: str, pushed: PushedCommit) -> Links:
        return Links(page, f"{page}/b/{pushed.branch}", f"{page}/c/{pushed.commit}")


def test_the_links_of_an_added_forge_are_in_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "FORGES", (*table.FORGES, ExampleForge()))
    lines = report_with(DELIVERED, repo_url=RepoUrl.parse("https://forge.example/o/r.git")).splitlines()
    assert "| Branch | [feature/x](<https://forge.example/o/r/b/feature/x>) |" in lines
    assert f"| Commit | [{COMMIT}](<https://forge.example/o/r/c/{COMMIT}>) |" in lines


@pytest.mark.parametrize(
    ("result", "end"),
    [
        (PullRequestResult("https://github.com/o/r/pull/7", 7, state="open"), ""),
        (PullRequestResult("https://github.com/o/r/pull/7", 7, is_draft=True, state="open"), " (draft)"),
        (
            PullRequestResult("https://github.com/o/r/pull/7", 7, is_draft=True, state="merged"),
            " (merged)",
        ),
    ],
    ids=["ready", "draft", "merged"],
)
def test_a_pull_request_takes_the_place_of_the_link_for_opening_one(result: PullRequestResult, end: str) -> None:
    summary = dataclasses.replace(DELIVERED, pull_request=result)
    assert headline(summary).endswith(f"0123456789ab, pull request https://github.com/o/r/pull/7{end}")
    report = render_report(summary)
    link = "<https://github.com/o/r/pull/7>"
    assert f"| Pull request | {link}{end} |\n" in report
    assert "Open a pull request" not in report
    assert summary.result.as_json()["pull_request"]["url"] == "https://github.com/o/r/pull/7"


def test_the_report_says_why_there_is_no_pull_request() -> None:
    summary = dataclasses.replace(DELIVERED, pull_request=PullRequestResult(fault="ForgeAuthFailed: refused @ada #1"))
    assert headline(summary).endswith(", but no pull request: ForgeAuthFailed: refused @ada #1")
    [row] = [line for line in render_report(summary).splitlines() if line.startswith("| Pull request |")]
    assert "none: ForgeAuthFailed: refused" in row.replace("\\", "")
    assert "@ada" not in row, "the text of a forge mentions no person"
    assert "Open a pull request" in render_report(summary)


def test_the_pages_are_those_of_the_kind_of_forge_that_the_run_names() -> None:
    summary = dataclasses.replace(DELIVERED, repo_url=RepoUrl.parse("https://git.example.com/o/r"), forge="gitlab")
    assert "https://git.example.com/o/r/-/merge_requests/new" in render_report(summary)
