"""The HTML of a work item becomes text."""

import pytest

from flows.forges.disarm import disarm
from flows.forges.reviews.html_text import html_of_text, text_of_html


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<div>one</div><div>two</div>", "one\ntwo"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<ul><li>one</li><li>two</li></ul>", "- one\n- two"),
        ("a &lt;b&gt; &amp; &#64;c", "a <b> & @c"),
        ("<p>a<b>b</b> c</p>\n\n\n\n<p>d</p>", "ab c\n\nd"),
        ("a<!-- hidden -->b<script>alert(1)</script>c<style>x</style>d", "abcd"),
        ('<a href="https://evil.example" title="x">link</a><img alt="y" src="z">', "link"),
        ("plain, 1 < 2", "plain, 1 < 2"),
        ("<div>a</div><div><br></div><div>b</div>", "a\n\nb"),
        ("<br><br><br><br>a<hr/>b", "a\nb"),
        ("</script>a", "a"),
        ("", ""),
    ],
)
def test_the_text_of_html(html: str, text: str) -> None:
    assert text_of_html(html) == text


def test_an_address_becomes_a_link_except_in_disarmed_text() -> None:
    address = "https://git.example.com/a?b=c&d"
    link = '<a href="https://git.example.com/a?b=c&amp;d">https://git.example.com/a?b=c&amp;d</a>'
    assert html_of_text(f"see {address}.\n") == f"see {link}.<br>"
    assert text_of_html(html_of_text(address)) == address
    assert "<a" not in html_of_text(disarm(f"see {address} or www.example.com"))


@pytest.mark.parametrize("text", ["a\n\n<b> & \"c\" 'd'", "[//]: # (x)", "&lt;"])
def test_text_as_html_shows_the_text(text: str) -> None:
    assert text_of_html(html_of_text(text)) == text
