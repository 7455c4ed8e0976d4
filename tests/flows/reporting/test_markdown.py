"""Untrusted text in Markdown, as a parser of CommonMark and GitHub's tables reads it."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from flows.reporting.markdown import code, cut, fenced, link, prose, quoted, table

PARSER = MarkdownIt("gfm-like", {"html": True, "linkify": False})
HOSTILE = (
    "![x](https://evil.example/x.png)", "[click](javascript:alert(1))", "<img src=x onerror=alert(1)>", "</details>",
    "<script>alert(1)</script>", "<!-- ", "<https://evil.example>", "[a]: https://evil.example\n[a]", "[a][b]",
    "\n# Pushed 7 files\n", "````", "```\n", "~~~", "\n---\n", "| a | b |\n|---|---|\n", "\n> ", "`", "``", "\\", "\r",
    "\x1b[2J", "\u202e", "\u2028", "\ud800", "&lt;", "<?x?>", "<a href='x'", "\n[a]: x", "!", "*", "_", "](",
    "www.evil.x",
)  # fmt: skip
ANYTHING = st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=3)), max_size=8).map("".join)
ACTIVE = {"html_inline", "html_block", "image", "link_open"}


def tokens(markdown: str) -> list[Token]:
    """Return all tokens of a document, including those within lines."""
    parsed = PARSER.parse(markdown)
    return parsed + [child for token in parsed for child in token.children or ()]


def top_level(markdown: str) -> list[str]:
    """Return the types of the blocks at the top level of a document."""
    return [token.type for token in PARSER.parse(markdown) if token.level == 0]


@given(ANYTHING)
@example("[a]: https://evil.example\n\n[a]")
@example("<IMG SRC=x>")
@example("``` \n![x](y)")
def test_a_quotation_contains_its_text_and_has_no_tag_image_or_link(text: str) -> None:
    document = f"{quoted(text)}\n\n## The next part\n"
    assert top_level(document)[-2:] == ["heading_open", "heading_close"]
    assert top_level(document)[0] == "blockquote_open"
    assert top_level(document).count("blockquote_open") == 1
    assert not ACTIVE & {token.type for token in tokens(document)}
    assert document.encode()


@given(ANYTHING)
def test_prose_is_only_text(text: str) -> None:
    parsed = tokens(f"a {prose(text)} z")
    assert {token.type for token in parsed} <= {"paragraph_open", "inline", "paragraph_close", "text", "text_special"}


@given(ANYTHING, ANYTHING)
def test_no_text_adds_a_cell_to_a_table(one: str, other: str) -> None:
    parsed = tokens(table([[code(one), prose(other)], ["a", "b"]], ["x", "y"]))
    assert [token.type for token in parsed].count("td_open") == 4
    assert not ACTIVE & {token.type for token in parsed}


@given(ANYTHING)
def test_a_code_block_contains_its_whole_text(content: str) -> None:
    [block] = PARSER.parse(fenced(content, "diff"))
    assert block.type == "fence"
    assert block.info == "diff"


@pytest.mark.parametrize(
    ("value", "expected"),
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
def test_inline_code_stays_on_its_line(value: str, expected: str) -> None:
    assert code(value) == expected


def test_harmless_text_is_unchanged() -> None:
    text = "`todo/api.py` has *three* operations:\n\n- a < b, x <= y\n- 5 > 3 and a[0] is `x`"
    assert re.sub("(?m)^> ?", "", quoted(text)) == text


def test_the_words_of_a_link_do_not_change_its_address() -> None:
    [token] = [token for token in tokens(link("x](http://evil) `", "https://h/a(b)?x=1")) if token.type == "link_open"]
    assert token.attrs["href"] == "https://h/a(b)?x=1"


def test_a_long_text_is_cut_at_a_line_and_the_note_has_the_length_of_the_rest() -> None:
    assert cut("abc", 3, "see there") == ("abc", "")
    assert cut("ab\ncd\nef", 7, "see there") == ("ab\ncd\n", "2 more characters: see there")
    beginning, note = cut("x" * 1234, 1000, "see there")
    assert (len(beginning), note) == (1000, "234 more characters: see there")
    assert not re.search("\n", beginning)
