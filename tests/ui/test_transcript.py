"""The page of a transcript in a browser: nothing of the agent's runs or loads, and it can be searched."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect

from flows.reporting.transcript.page import page as transcript_page
from tests.ui.browser import PrefectPages, new_page

HOSTILE = (
    "</pre></script><script>window.ran=1</script><img src='http://127.0.0.1:9/x' onerror='window.ran=2'>"
    "<svg onload='window.ran=3'><style>body{display:none}</style> [x](javascript:window.ran=4)"
)


def events(count: int) -> Iterator[dict[str, Any]]:
    yield {"type": "system", "subtype": "init", "model": "claude-sonnet-5-5", "claude_code_version": "2.1.332"}
    for n in range(count):
        at = f"2026-11-24T22:{n // 60 % 60:02d}:{n % 60:02d}.000Z"
        said = {"type": "text", "text": f"Step {n}. {HOSTILE}"}
        run = {"type": "tool_use", "id": f"t{n}", "name": "Bash", "input": {"command": f"pytest -k case_{n}"}}
        yield {"type": "assistant", "timestamp": at, "message": {"content": [said, run]}}
        result = {"type": "tool_result", "tool_use_id": f"t{n}", "content": "line\n" * 60, "is_error": n % 10 == 3}
        yield {"type": "user", "timestamp": at, "message": {"content": [result]}}


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[Page, list[str], Path]]:
    """The page of forty calls, of which four failed; what the browser said about it; and where it is."""
    stream, html, said = tmp_path / "transcript.jsonl", tmp_path / "transcript.html", list[str]()
    stream.write_text("".join(f"{json.dumps(event)}\n" for event in events(40)))
    html.write_bytes(transcript_page(stream, f"todo @ {HOSTILE}", {"Repository": HOSTILE}, HOSTILE))

    def hear(message: ConsoleMessage) -> None:
        said.append(message.text)

    with new_page() as page:
        page.on("console", hear)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(html.as_uri())
        yield page, said, tmp_path


def test_nothing_of_the_agents_runs(opened: tuple[Page, list[str], Path]) -> None:
    page, said, _ = opened
    assert page.evaluate("window.ran") is None
    assert said == []
    expect(page.get_by_text("Step 0.").first).to_be_visible()


def test_the_policy_would_stop_what_slipped_through(opened: tuple[Page, list[str], Path]) -> None:
    page, said, _ = opened
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran=1\">')")
    page.wait_for_timeout(300)
    assert page.evaluate("window.ran") is None
    assert any("Content Security Policy" in text for text in said)


def test_it_is_searched_and_filtered_as_one_types(opened: tuple[Page, list[str], Path], pictures: Path) -> None:
    page, _, _ = opened
    steps = page.locator("article:not([hidden])")
    expect(steps).to_have_count(82)  # the instructions, the beginning, and two for each call
    page.keyboard.press("/")
    page.keyboard.type("CASE_7")
    expect(steps).to_have_count(1)
    expect(page.locator("#found")).to_have_text("1 of 82 steps")
    page.fill("#search", "")
    page.get_by_role("button", name="Failed", exact=True).click()
    expect(steps).to_have_count(4)
    PrefectPages(page, "", pictures).picture("transcript")


def test_it_leads_to_what_failed_and_opens_what_is_long(opened: tuple[Page, list[str], Path]) -> None:
    page, _, _ = opened
    for expected in ("case_3", "case_13"):
        page.get_by_role("button", name="Next failed").click()
        expect(page.locator("article:target")).to_contain_text(expected)
    output = page.locator("article:target pre.long")
    before = output.bounding_box()
    page.locator("article:target .more").click()
    after = output.bounding_box()
    assert before
    assert after
    assert after["height"] > 2 * before["height"]


def test_without_its_script_and_on_paper_all_of_it_is_there(opened: tuple[Page, list[str], Path]) -> None:
    page, _, folder = opened
    printed = folder / "transcript.pdf"
    page.pdf(path=printed)
    assert printed.read_bytes().count(b"/Type /Page\n") + printed.read_bytes().count(b"/Type /Page ") > 20
