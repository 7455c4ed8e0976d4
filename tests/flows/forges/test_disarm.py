"""Nothing that a forge acts on is left in a text, as written and as Markdown shows it; a reader sees the same text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.forges.disarm import JOINER, cut_line, disarm, disarm_line
from flows.redaction import SECRETS
from tests.support.forges.hostile_texts import HOSTILE
from tests.support.forges.live_text import live_in

CHARACTERS = tuple('@#&\\/[]()!<>:.`~%"*_ -ax\n\r\u200b')
WORDS = (
    "GL-",
    "issue ",
    "iteration:",
    "fixes",
    "\t",
    "12",
    "#64;",
    "merge",
    "> ",
    "- ",
    "//",
    "GH-",
    "closes ",
    "skip",
    " ci",
    "www",
    "```",
    "Signed-off-by",
)


@pytest.mark.parametrize("text", HOSTILE, ids=map(ascii, HOSTILE))
def test_a_hostile_text_is_live_before_and_not_after(text: str) -> None:
    assert live_in(text), "the test would prove nothing"
    assert live_in(disarm(text)) == []
    assert live_in(f"> {disarm(text)}".replace("\n", "\n> ")) == []


@given(st.lists(st.sampled_from(CHARACTERS + WORDS), max_size=14).map("".join))
def test_no_combination_is_live(text: str) -> None:
    assert live_in(disarm(text)) == []


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126, include_characters="\n\té語😀"), max_size=60))
def test_a_reader_sees_the_same_text(text: str) -> None:
    assert disarm(text).replace(JOINER, "") == text
    assert disarm(disarm(text)) == disarm(text)


@pytest.mark.parametrize(
    "text",
    [
        "Add a page for the orders, and a test.",
        "feat(api)!: add the endpoint",
        "fix: handle 3 cases of an empty list",
        "Use `$HOME` and 50% of `a && b`, in C:\\work.",
        "# Title\n\n1. one\n2. two\n\n```\ncode\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |",
        "naïve café 日本語 😀",
        "see src/app.py, line 12",
        "call std::move, or Model::include",
    ],
)
def test_a_plain_text_is_not_changed(text: str) -> None:
    assert disarm(text) == text


def test_a_secret_is_redacted_also_if_invisible_characters_split_it() -> None:
    SECRETS.learn("a secret of this test", "hunter2-hunter2-hunter2")
    for text in ("hunter2-hunter2-hunter2", "hunter2-\u200bhunter2-hunter2", "hunter2-hunter2-\uff48unter2"):
        assert "hunter2" not in disarm(f"it is {text}!")


def test_a_line_has_a_limit_and_no_line_break() -> None:
    assert disarm_line("a\n@b", 10) == f"a @{JOINER}b"
    assert cut_line("x" * 10, 10) == "x" * 10
    assert disarm_line("x" * 11, 10) == "x" * 9 + "…"


@pytest.mark.parametrize("piece", [" ", "[", "@", "closes ", "> ", "`", "a-"])
def test_a_long_text_does_not_hold_up_the_run(piece: str) -> None:
    assert disarm(piece * 100_000).replace(JOINER, "") == piece * 100_000
