"""The page of a pull request shows its text as a forge does, and nothing in the text is live."""

from deployments.local.forge_page import page

BODY = "<!-- begin -->\n> Why <script>alert(1)</script>\n\n- `make`: passed\n<!-- end\nrun=1 -->"


def test_the_text_is_rendered_and_no_html_in_it_is_live() -> None:
    html = page(3, "WIP: Add <b>orders</b>", BODY, ("a<b", "main"), {"claude-code": "success"}).decode()
    assert "<blockquote>\n<p>Why &lt;script&gt;alert(1)&lt;/script&gt;</p>" in html
    assert "<code>make</code>: passed" in html
    assert "begin" not in html
    assert "run=1" not in html
    assert "<h1>Add &lt;b&gt;orders&lt;/b&gt; <small>#3</small></h1>" in html
    assert "Draft</b> &ensp;<code>a&lt;b</code> into <code>main</code>" in html
    assert "claude-code: success" in html


def test_a_request_that_is_ready_and_has_no_status() -> None:
    html = page(1, "Add orders", "", ("work", "main"), {}).decode()
    assert "<b>Open</b>" in html
    assert "<footer>" not in html
