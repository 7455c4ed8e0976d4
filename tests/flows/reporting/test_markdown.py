"""Text of strangers in Markdown: what a reader of CommonMark and GitHub's tables makes of it."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from flows.reporting.markdown import code, cut, fenced, link, prose, quoted, table

READER = MarkdownIt("gfm-like", {"html": True, "linkify": False})
HOSTILE = (
    "![x](https://evil.example/x.png)", "[click](javascript:alert(1))", "<img src=x onerror=alert(1)>", "</details>",
    "<script>alert(1)</script>", "<!-- ", "<https://evil.example>", "[a]: https://evil.example\n[a]", "[a][b]",
    "\n# Pushed 7 files\n", "````", "```\n", "~~~", "\n---\n", "| a | b |\n|---|---|\n", "\n> ", "`", "``", "\\", "\r",
    "\x1b[2J", "\u202e", "\u2028", "\ud800", "&lt;", "<?x?>", "<a href='x'", "\n[a]: x", "!", "*", "_", "](",
    "www.evil.x",
)  # fmt: skip
ANYTHING = st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=3)), max_size=8).map("".join)
MADE = {"html_inline", "html_block", "image", "link_open"}


def tokens(markdown: str) -> list[Token]:
    """All tokens of a document, those within lines as well."""
    parsed = READER.parse(markdown)
    return parsed + [child for token in parsed for child in token.children or ()]


def outside(markdown: str) -> list[str]:
    """The kinds of the blocks of a document's top level."""
    return [token.type for token in READER.parse(markdown) if token.level == 0]


@settings(deadline=None, max_examples=400)
@given(ANYTHING)
@example("[a]: https://evil.example\n\n[a]")
@example("<IMG SRC=x>")
@example("``` \n![x](y)")
def test_a_quotation_holds_what_is_in_it_and_brings_no_tag_image_or_link(said: str) -> None:
    document = f"{quoted(said)}\n\n## The next part\n"
    assert outside(document)[-2:] == ["heading_open", "heading_close"]
    assert outside(document)[0] == "blockquote_open"
    assert outside(document).count("blockquote_open") == 1
    assert not MADE & {token.type for token in tokens(document)}
    assert document.encode()


@settings(deadline=None, max_examples=400)
@given(ANYTHING)
def test_words_are_words(said: str) -> None:
    parsed = tokens(f"a {prose(said)} z")
    assert {token.type for token in parsed} <= {"paragraph_open", "inline", "paragraph_close", "text", "text_special"}


@settings(deadline=None, max_examples=400)
@given(ANYTHING, ANYTHING)
def test_a_table_has_the_cells_that_it_was_given(one: str, other: str) -> None:
    parsed = tokens(table([[code(one), prose(other)], ["a", "b"]], ["x", "y"]))
    assert [token.type for token in parsed].count("td_open") == 4
    assert not MADE & {token.type for token in parsed}


@settings(deadline=None)
@given(ANYTHING)
def test_a_block_of_code_holds_it_all(content: str) -> None:
    [block] = READER.parse(fenced(content, "diff"))
    assert block.type == "fence"
    assert block.info == "diff"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\nb", "`a b`"),
        ("a`b", "`a'b`"),
        ("-rf", "`-rf`"),
        ("a\udcffb", "`a?b`"),
        ("é/ü", "`é/ü`"),
        ("", ""),
        ("a\x1b[2Jb", "`ab`"),
    ],
)
def test_code_stays_in_its_line(value: str, shown: str) -> None:
    assert code(value) == shown


def test_what_is_harmless_is_as_it_was() -> None:
    said = "`todo/api.py` has *three* operations:\n\n- a < b, x <= y\n- 5 > 3 and a[0] is `x`"
    assert re.sub("(?m)^> ?", "", quoted(said)) == said


def test_a_link_of_ours_leads_where_we_say() -> None:
    [token] = [token for token in tokens(link("x](http://evil) `", "https://h/a(b)?x=1")) if token.type == "link_open"]
    assert token.attrs["href"] == "https://h/a(b)?x=1"


def test_a_long_text_is_cut_at_a_line_and_says_how_much_is_missing() -> None:
    assert cut("abc", 3, "there") == ("abc", "")
    assert cut("ab\ncd\nef", 7, "see there") == ("ab\ncd\n", "2 more characters: see there")
    shown, note = cut("x" * 1234, 1000, "see there")
    assert (len(shown), note) == (1000, "234 more characters: see there")
    assert not re.search("\n", shown)
