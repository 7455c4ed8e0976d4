"""A body has all its parts on a few lines, fits on every forge, and nothing that a stranger wrote is live in it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from flows.forges.body import (
    BODY_CHARACTERS,
    TITLE_CHARACTERS,
    BodyContent,
    CommandCheck,
    pull_request_body,
    pull_request_title,
    units,
)
from flows.forges.section import add_marks
from tests.support.forges.hostile_texts import HOSTILE
from tests.support.forges.live_text import live_as_shown, live_as_written

CONTENT = BodyContent(
    summary="The page lists the orders.\n\nIt reads them in one query.",
    asked_source="s3://bucket/orders.md, version 7",
    run_id="5f3c0000-0000-4000-8000-000000000001",
    asked_text="Add a page that lists the orders.",
    feedback=("Show the newest first.",),
    verdict="not verified",
    is_draft_by_verdict=True,
    checks=(CommandCheck("make test", "passed", 0, 12.34), CommandCheck("make `lint`", "failed before", 2, 1)),
    warnings=("changes 2 tests",),
    questions=("Which time zone?",),
    not_done=("paging",),
    cost="$1.23, 14 turns, claude-sonnet-5-5, Claude Code 2.1.332",
    run_url="https://prefect.example.com/runs/1",
    next_command="prefect deployment run follow_up/local -p flow_run_id=1",
)
LISTS = ("feedback", "warnings", "questions", "not_done")


def test_a_body_has_its_parts_in_order() -> None:
    assert pull_request_body(CONTENT).replace("\u2060", "") == (
        "> The page lists the orders.\n>\n> It reads them in one query.\n\n"
        "**Asked:** `s3://bucket/orders.md, version 7`\n\n"
        "```text\nAdd a page that lists the orders.\n```\n\n"
        "**Asked later:**\n\n- Show the newest first.\n\n"
        "**Verification:** not verified, so the run asked for a draft\n\n"
        "**Checked** by the run, after the agent had ended:\n\n"
        "- `make test`: passed, exit status 0, 12 s\n"
        "- `make 'lint'`: failed before, exit status 2, 1.0 s\n\n"
        "**Look at:**\n\n- changes 2 tests\n\n"
        "**The agent asks:**\n\n- Which time zone?\n\n"
        "**Not done, as the agent says:**\n\n- paging\n\n"
        "**Cost:** $1.23, 14 turns, claude-sonnet-5-5, Claude Code 2.1.332\n\n"
        "**Run:** [flow run](<https://prefect.example.com/runs/1>), `5f3c0000-0000-4000-8000-000000000001`\n\n"
        "**Ask for changes:** comment, and start a run of follow_up, which answers people who may push: "
        "`prefect deployment run follow_up/local -p flow_run_id=1`"
    )


def test_a_body_says_plainly_that_nothing_was_run() -> None:
    body = pull_request_body(BodyContent("", "", "id", "Say hello."))
    assert body == (
        "The agent said nothing.\n\n**Asked:**\n\n```text\nSay hello.\n```\n\n"
        "**Checked:** nothing was run, because the run has no verify commands\n\n**Run:** `id`"
    )


@pytest.mark.parametrize("command", ["run " + "x" * 800, "run `date`"], ids=["long", "backticks"])
def test_a_command_is_shown_whole_or_not_at_all(command: str) -> None:
    body = pull_request_body(replace(CONTENT, next_command=command))
    assert body.endswith("start a run of follow_up, which answers people who may push.")


@pytest.mark.parametrize("text", HOSTILE, ids=map(ascii, HOSTILE))
def test_no_text_of_a_stranger_is_live_in_a_body_or_a_title(text: str) -> None:
    content = replace(
        CONTENT,
        checks=(),
        run_url="",
        summary=text,
        asked_text=text,
        unchecked_reason=text,
        cost=text,
        feedback=(text,),
        warnings=(text, text),
        questions=(text,),
        not_done=(text,),
    )
    body = pull_request_body(content)
    assert live_as_shown(body) == []
    for html_comments in (True, False):
        framed_body = add_marks(body, "id", "c0ffee", html_comments=html_comments)
        assert framed_body.count("claude-code-headless:begin") - body.count("claude-code-headless:begin") == 1
        assert live_as_shown(framed_body) == (["html_block"] * 2 if html_comments else [])
    assert live_as_written(pull_request_title(text)) == []


@pytest.mark.parametrize("text", HOSTILE, ids=map(ascii, HOSTILE))
def test_a_command_or_a_source_cannot_leave_its_code(text: str) -> None:
    content = replace(
        CONTENT,
        asked_source=text,
        next_command=text,
        run_id=text,
        checks=(CommandCheck(text, "passed", 0, 1),),
        run_url="",
    )
    assert live_as_shown(pull_request_body(content)) == []


def repeated(alphabet: str, times: int) -> st.SearchStrategy[str]:
    return st.text(alphabet, max_size=40).map(lambda text: text * times)


@given(
    st.builds(
        BodyContent,
        summary=repeated("@`#\n😀[a>- é", 300),
        asked_text=repeated("@`#\n😀[a>- é", 300),
        asked_source=repeated("`a😀\n", 50),
        run_id=st.just(CONTENT.run_id),
        next_command=st.one_of(repeated("`a😀\n", 50), st.sampled_from(["a" * 800, "😀" * 400])),
        checks=st.lists(
            st.builds(CommandCheck, repeated("`a😀", 40), st.just("passed"), st.integers(0, 255), st.floats(0, 1e6)),
            max_size=40,
        ),
        feedback=st.lists(repeated("@`#\n😀[a é", 20), max_size=40),
        verdict=repeated("@`#\n😀[a é", 20),
        warnings=st.lists(repeated("@`#\n😀[a é", 20), max_size=40),
        questions=st.lists(repeated("@`#\n😀[a é", 20), max_size=40),
        not_done=st.lists(repeated("@`#\n😀[a é", 20), max_size=40),
    )
)
def test_a_body_fits_on_every_forge_and_keeps_all_its_parts(content: BodyContent) -> None:
    body = pull_request_body(content)
    assert units(body) <= BODY_CHARACTERS
    for html_comments in (True, False):
        assert units(add_marks(body, content.run_id, "c0ffee" * 7, html_comments=html_comments)) <= 3_900
    for title in ("**Asked:**", "**Checked", "**Run:**"):
        assert title in body
    assert body.count("more: see the report") >= sum(len(getattr(content, name)) > 8 for name in (*LISTS, "checks"))


def test_a_fence_in_the_instructions_does_not_end_the_block() -> None:
    body = pull_request_body(replace(CONTENT, asked_text="a\n```\n# b\n````\nc"))
    fences = [token for token in MarkdownIt().parse(body) if token.type == "fence"]
    assert [token.content for token in fences] == ["a\n'''\n# b\n'''`\nc\n"]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Add a page\n\nmore", "Add a page"),
        ("\n\n# Add a page", "Add a page"),
        ("feat(api): add a page", "feat(api): add a page"),
        ("x" * 80, "x" * 69 + "…"),
        ("", "Implement the instructions"),
        (" \n\t", "Implement the instructions"),
    ],
)
def test_a_title_is_one_short_line(text: str, title: str) -> None:
    assert pull_request_title(text) == title
    assert len(title) <= TITLE_CHARACTERS


def test_a_title_can_say_that_nothing_was_verified() -> None:
    assert pull_request_title("Add a page", is_unverified=True) == "[unverified] Add a page"
    assert pull_request_title("", is_unverified=True) == "[unverified] Implement the instructions"
    assert len(pull_request_title("x" * 80, is_unverified=True)) == TITLE_CHARACTERS
