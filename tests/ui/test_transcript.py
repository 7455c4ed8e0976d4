"""The transcript page in a browser: no content from the agent runs or loads anything, and the page can be searched."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect

from flows.reporting.transcript.page import render_page
from tests.ui.browser import PrefectPages, new_page

HOSTILE = (
    "</pre></script><script>window.ran=1</script><img src='http://127.0.0.1:9/x' onerror='window.ran=2'>"
    "<svg onload='window.ran=3'><style>body{display:none}</style> [x](javascript:window.ran=4)"
)


def events(count: int) -> Iterator[dict[str, Any]]:
    yield {"type": "system", "subtype": "init", "model": "claude-sonnet-5-5", "claude_code_version": "2.1.332"}
    for number in range(count):
        timestamp = f"2026-11-24T22:{number // 60 % 60:02d}:{number % 60:02d}.000Z"
        text = {"type": "text", "text": f"Step {number}. {HOSTILE}"}
        call = {
            "type": "tool_use",
            "id": f"t{number}",
            "name": "Bash",
            "input": {"command": f"pytest -k case_{number}"},
        }
        yield {"type": "assistant", "timestamp": timestamp, "message": {"content": [text, call]}}
        result = {
            "type": "tool_result",
            "tool_use_id": f"t{number}",
            "content": "line\n" * 60,
            "is_error": number % 10 == 3,
        }
        yield {"type": "user", "timestamp": timestamp, "message": {"content": [result]}}


@pytest.fixture
def transcript(tmp_path: Path) -> Iterator[tuple[Page, list[str], Path]]:
    """The page of forty calls, four of which failed; the browser's console messages; and the page's folder."""
    stream, html, messages = tmp_path / "transcript.jsonl", tmp_path / "transcript.html", list[str]()
    stream.write_text("".join(f"{json.dumps(event)}\n" for event in events(40)))
    html.write_bytes(render_page(stream, f"todo @ {HOSTILE}", {"Repository": HOSTILE}, HOSTILE))

    def record(message: ConsoleMessage) -> None:
        messages.append(message.text)

    with new_page() as page:
        page.on("console", record)
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.goto(html.as_uri())
        yield page, messages, tmp_path


def test_no_code_from_the_agent_runs(transcript: tuple[Page, list[str], Path]) -> None:
    page, messages, _ = transcript
    assert page.evaluate("window.ran") is None
    assert messages == []
    expect(page.get_by_text("Step 0.").first).to_be_visible()


def test_the_content_security_policy_blocks_code_that_slips_through(transcript: tuple[Page, list[str], Path]) -> None:
    page, messages, _ = transcript
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran=1\">')")
    page.wait_for_timeout(300)
    assert page.evaluate("window.ran") is None
    assert any("Content Security Policy" in text for text in messages)


def test_it_is_searched_and_filtered_while_one_types(transcript: tuple[Page, list[str], Path], pictures: Path) -> None:
    page, _, _ = transcript
    steps = page.locator("article:not([hidden])")
    expect(steps).to_have_count(82)  # the instructions, the start of the session, and two per call
    page.keyboard.press("/")
    page.keyboard.type("CASE_7")
    expect(steps).to_have_count(1)
    expect(page.locator("#matches")).to_have_text("1 of 82 steps")
    page.fill("#search", "")
    page.get_by_role("button", name="Failed", exact=True).click()
    expect(steps).to_have_count(4)
    PrefectPages(page, "", pictures).picture("transcript")


def test_it_leads_to_failed_steps_and_expands_long_output(transcript: tuple[Page, list[str], Path]) -> None:
    page, _, _ = transcript
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


def test_the_printed_page_shows_everything(transcript: tuple[Page, list[str], Path]) -> None:
    page, _, folder = transcript
    printed = folder / "transcript.pdf"
    page.pdf(path=printed)
    assert printed.read_bytes().count(b"/Type /Page\n") + printed.read_bytes().count(b"/Type /Page ") > 20
