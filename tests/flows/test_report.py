"""The report of a run: what it says, and that nothing in it can break its form."""

import dataclasses
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.claude.outcome import AgentReport
from flows.report import Delivery, headline, markdown
from flows.workspace.clone import Checkout
from flows.workspace.collect import Change, FileChange

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BASE = "fedcba9876543210fedcba9876543210fedcba98"
DELIVERY = Delivery("https://example.com/o/r", "feature/x", COMMIT, ("a.py",), 0.5, 3, "I did it.")
CHECKOUT = Checkout("feature/x", "main", BASE, "")
CHANGE = Change(COMMIT, CHECKOUT, (FileChange("a.py", 10, 2),))
AGENT = AgentReport("I did it.", 3, 0.5, 61.25, "session", {"claude-sonnet-5-5": {}}, ())
ANY_TEXT = st.lists(st.one_of(st.characters(), st.sampled_from("\ud800\udcff")), max_size=40).map("".join)


@pytest.mark.parametrize(
    ("commit", "files", "said"),
    [
        ("", (), "Nothing to change: feature/x was not pushed"),
        (COMMIT, ("a",), "Pushed 1 file to feature/x as 0123456789ab"),
        (COMMIT, ("a", "b"), "Pushed 2 files to feature/x as 0123456789ab"),
        (COMMIT, (), "Pushed 0 files to feature/x as 0123456789ab"),
    ],
)
def test_a_headline_says_the_outcome(commit: str, files: tuple[str, ...], said: str) -> None:
    assert headline(dataclasses.replace(DELIVERY, commit=commit, files=files)) == said


def test_a_report_says_where_the_work_is_and_what_it_took() -> None:
    agent = dataclasses.replace(AGENT, permission_denials=("WebFetch", "Bash", "WebFetch"))
    text = markdown(DELIVERY, CHANGE, agent, ["s3://b/p/*", "main.md etag"], "+hello\n")
    assert text.startswith(f"# {headline(DELIVERY)}\n")
    for row in (
        "| Repository | https://example.com/o/r |",
        "| Branch | `feature/x` |",
        f"| Commit | `{COMMIT}` |",
        "| Started from | `main` at `fedcba987654` |",
        "| Model | `claude-sonnet-5-5` |",
        "| Turns, cost, time | 3, $0.5000, 61.2 s |",
        "| Tools denied | Bash, WebFetch |",
        "- `a.py` +10 \u22122",
        "- `s3://b/p/*`",
        "- `main.md etag`",
    ):
        assert row in text.splitlines()
    assert "## What Claude says\n\nI did it.\n" in text
    assert "````diff\n+hello\n\n````" in text


def test_a_report_of_no_change_has_no_diff_and_says_none() -> None:
    nothing = dataclasses.replace(DELIVERY, commit="", files=(), summary="")
    agent = dataclasses.replace(AGENT, summary="", model_usage={})
    text = markdown(nothing, Change("", CHECKOUT), agent, ["inline"], "")
    assert "| Commit | none |" in text
    assert "| Model | unknown |" in text
    assert "| Tools denied | none |" in text
    assert "## What Claude says\n\nNothing.\n" in text
    assert "## Files\n\nNone changed.\n" in text
    assert "## Diff" not in text


def test_a_binary_file_is_shown_as_such() -> None:
    change = Change(COMMIT, CHECKOUT, (FileChange("logo.png", None, None),))
    assert "- `logo.png` binary" in markdown(DELIVERY, change, AGENT, [], "").splitlines()


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("a\nb", "- `a b` +1 \u22120"),
        ("a`b", "- `a'b` +1 \u22120"),
        ("-rf", "- `-rf` +1 \u22120"),
        ("a\udcffb", "- `a?b` +1 \u22120"),
        ("é/ü", "- `é/ü` +1 \u22120"),
    ],
)
def test_a_strange_file_name_stays_in_its_line(path: str, shown: str) -> None:
    change = Change(COMMIT, CHECKOUT, (FileChange(path, 1, 0),))
    assert shown in markdown(DELIVERY, change, AGENT, [], "").splitlines()


def test_a_long_list_of_files_is_cut_and_says_how_many_are_missing() -> None:
    change = Change(COMMIT, CHECKOUT, tuple(FileChange(f"f{n}", 1, 0) for n in range(103)))
    lines = markdown(DELIVERY, change, AGENT, [], "").splitlines()
    assert sum(line.startswith("- `f") for line in lines) == 100
    assert "- and 3 more" in lines


def test_a_long_diff_is_cut_and_says_how_much_is_missing() -> None:
    text = markdown(DELIVERY, CHANGE, AGENT, [], "+" * 41_234)
    assert "1,234 more characters" in text
    assert "+" * 40_000 in text
    assert "+" * 40_001 not in text


@settings(deadline=None)
@given(st.text("`~\n+a", max_size=60).filter(bool))
def test_a_diff_cannot_close_its_own_fence(patch: str) -> None:
    diff = markdown(DELIVERY, CHANGE, AGENT, [], patch).partition("## Diff\n\n")[2]
    fence, body = diff.splitlines()[0].removesuffix("diff"), diff.rstrip("\n").split("\n")[1:]
    assert re.fullmatch(r"`{4,}", fence)
    assert body[-1] == fence
    assert not any(line.strip().startswith(fence) for line in body[:-1])


def test_a_branch_with_a_pipe_stays_in_its_cell() -> None:
    # GitHub's Markdown and Prefect's cut a row at each bare pipe, also inside of backticks.
    strange = dataclasses.replace(DELIVERY, branch="a|b")
    [row] = [line for line in markdown(strange, CHANGE, AGENT, [], "").splitlines() if line.startswith("| Branch")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 3


@settings(deadline=None)
@given(summary=ANY_TEXT, path=ANY_TEXT, instruction=ANY_TEXT, model=ANY_TEXT, denied=ANY_TEXT)
def test_a_report_of_any_text_can_be_written_as_utf_8(
    summary: str, path: str, instruction: str, model: str, denied: str
) -> None:
    # A lone surrogate reaches a summary by way of JSON's \ud800, and a path by way of bytes that are no UTF-8.
    agent = AgentReport(summary, 1, 0.1, 1.0, "", {model: {}}, (denied,))
    change = Change(COMMIT, CHECKOUT, (FileChange(path, 1, 1),))
    assert markdown(DELIVERY, change, agent, [instruction], "+a").encode()
