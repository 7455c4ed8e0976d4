"""The page of a transcript: every step in order, all agent output as plain text, no secrets, and a limited size."""

import json
import re
import time
import tracemalloc
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.agent.event_parser import typed_events
from flows.redaction import SECRETS
from flows.reporting.transcript import page as pages
from flows.reporting.transcript.entries import Entry, clean, entries
from flows.reporting.transcript.page import render_page
from tests.support.runs import Run
from tests.support.world import World

HOSTILE = "</pre></script><script>alert(1)</script><img src=x onerror=alert(2)> [x](javascript:alert(3)) & \"'"
TAGS = frozenset(
    [
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "h1",
        "dl",
        "div",
        "dt",
        "dd",
        "b",
        "nav",
        "input",
        "output",
        "span",
        "button",
        "main",
        "article",
        "h2",
        "a",
        "code",
        "time",
        "h3",
        "pre",
        "i",
        "p",
        "script",
    ]
)


def says(text: str, **fields: str) -> dict[str, Any]:
    content = [{"type": "text", "text": text}]
    return {"type": "assistant", "message": {"content": content}, "timestamp": "2026-11-24T22:04:05.123Z", **fields}


def calls(name: str, number: int, /, **parameters: str) -> dict[str, Any]:
    return {
        "type": "assistant",
        "message": {"content": [{"type": "tool_use", "id": f"t{number}", "name": name, "input": parameters}]},
    }


def returns(number: int, content: object, *, is_error: bool = False) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": f"t{number}", "content": content, "is_error": is_error}
    return {"type": "user", "message": {"content": [block]}}


class Elements(HTMLParser):
    """The elements that a browser would find in a page: their names, their attributes and their text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {(name, value or "") for name, value in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(tmp_path: Path, *events: dict[str, Any], instructions: str = "") -> str:
    stream = tmp_path / "transcript.jsonl"
    stream.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    return render_page(
        stream, "todo @ x", {"Repository": "https://example.com/o/r", "Nothing": ""}, instructions
    ).decode()


def entries_of(events: list[dict[str, Any]]) -> list[Entry]:
    return list(entries(typed for event in events for typed in typed_events(event)))


def kinds(page: list[Entry]) -> list[tuple[str, str]]:
    return [(entry.kind, entry.name or (entry.sections[0].text if entry.sections else entry.title)) for entry in page]


def test_a_result_is_shown_with_its_call_in_the_order_of_the_calls() -> None:
    page = entries_of(
        [
            says("both"),
            calls("Read", 1, file_path="a"),
            calls("Bash", 2, command="b"),
            returns(2, "of b"),
            returns(1, [{"type": "text", "text": "of a"}]),
            says("then"),
            calls("Task", 3, description="look"),
            says("inside", parent_tool_use_id="t3"),
            returns(3, "found", is_error=True),
            calls("Bash", 4, command="never answered"),
        ]
    )
    assert kinds(page) == [
        ("says", "both"), ("calls", "Read"), ("calls", "Bash"), ("says", "then"), ("calls", "Task"), ("says", "inside"),
        ("calls", "Bash"),
    ]  # fmt: skip
    assert [section.text for entry in page for section in entry.sections if section.label in {"result", "failed"}] == [
        "of a", "of b", "found",
    ]  # fmt: skip
    assert [entry.has_failed for entry in page] == [False, False, False, False, True, False, False]
    assert [entry.is_nested for entry in page] == [False] * 5 + [True, False]


def test_an_edit_is_shown_as_a_diff_and_an_image_as_its_size() -> None:
    edit, screenshot = entries_of(
        [
            calls("Edit", 1, file_path="a.py", old_string="one\ntwo", new_string="one\nthree"),
            calls("Screenshot", 2),
            returns(2, [{"type": "image", "source": {"data": "A" * 5000}}]),
        ]
    )
    assert (edit.title, edit.sections[0].text) == ("a.py", " one\n-two\n+three")
    assert re.fullmatch(r"\[image, 5,\d{3} characters\]", screenshot.sections[0].text)


def test_no_event_prevents_the_page(tmp_path: Path) -> None:
    deep: dict[str, Any] = {}
    for _ in range(400):
        deep = {"a": [deep]}
    started_at = time.monotonic()
    html = page_of(
        tmp_path,
        calls("Deep", 1, command="x", nested=deep),  # type: ignore[arg-type]
        calls("Deeper", 3, command=deep),  # type: ignore[arg-type]
        returns(3, deep),
        calls("Edit", 2, old_string="".join(f"{n}\n" for n in range(60_000)), new_string="x\ny\n" * 60_000),
        says("after"),
    )
    assert "after" in html
    assert time.monotonic() - started_at < 20


def test_no_agent_output_becomes_markup(tmp_path: Path) -> None:
    html = page_of(
        tmp_path,
        {"type": "system", "subtype": "init", "model": HOSTILE, "claude_code_version": "2"},
        says(HOSTILE),
        calls(HOSTILE, 1, **{"command": HOSTILE, HOSTILE: HOSTILE}),
        returns(1, HOSTILE, is_error=True),
        {"type": "result", "subtype": HOSTILE, "result": HOSTILE, "errors": [HOSTILE]},
        instructions=HOSTILE,
    )
    elements = Elements(html)
    assert elements.names <= TAGS
    assert html.count("<script") == 1
    assert not {name for name, _ in elements.attributes if name.startswith("on") or name in {"src", "style"}}
    assert {value[0] for name, value in elements.attributes if name == "href"} == {"#"}
    assert elements.text.count(HOSTILE) >= 8


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_no_text_breaks_the_page(tmp_path_factory: pytest.TempPathFactory, text: str, fields: dict[str, str]) -> None:
    html = page_of(
        tmp_path_factory.mktemp("page"), says(text), calls(text, 1, **fields), returns(1, text), instructions=text
    )
    assert Elements(html).names <= TAGS
    assert html.rstrip().endswith("</html>")


def test_the_content_security_policy_allows_only_the_pages_own_style_and_script(tmp_path: Path) -> None:
    html = page_of(tmp_path, says("x"))
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert policy
    assert policy[1].startswith("default-src 'none'; ")
    for element in ("style", "script"):
        content = re.search(rf"<{element}>(.*?)</{element}>", html, re.DOTALL)
        assert content
        digest = b64encode(sha256(content[1].encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in policy[1]
    assert "unsafe" not in policy[1]
    assert not re.search(r"url\(|@import|https?://(?!example\.com/o/r)", html)


def test_secrets_are_redacted_even_if_colour_codes_split_them(tmp_path: Path) -> None:
    token = "ghp_" + "a1B2" * 9
    SECRETS.learn("it", "a-secret-of-this-test")
    html = page_of(
        tmp_path,
        says(f"see {token}"),
        calls("Bash", 1, command=f"echo {token[:9]}\x1b[1m{token[9:]}"),
        returns(1, "a-secret-\x1b[0mof-this-test"),
        instructions="a-secret-of-this-test",
    )
    assert token not in html
    assert "a-secret-of-this-test" not in html
    assert html.count("***") >= 4


def test_invisible_characters_are_written_out() -> None:
    assert clean("a\x1b[31mred\x1b[0m\x00\u202eb\r\nc\td") == "ared[U+0000][U+202E]b\nc\td"
    assert clean("\x1b]8;;http://x\x07link\x1b]8;;\x07") == "link"


def test_a_long_transcript_is_cut_evenly_with_notes_on_the_missing_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_BUDGET_CHARACTERS", 20_000)
    html = page_of(
        tmp_path, *(event for n in range(20) for event in (calls("Bash", n, command="x"), returns(n, "y" * 3000)))
    )
    assert html.count("2,000 more characters are in transcript.jsonl.gz") == 20
    monkeypatch.setattr(pages, "_ENTRIES_MAX", 5)
    cut = page_of(tmp_path, *(says(str(n)) for n in range(8)))
    assert cut.count("<article") == 5
    assert "3 more steps are in transcript.jsonl.gz" in cut


def test_memory_grows_with_the_page_and_not_with_the_transcript(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_BUDGET_CHARACTERS", 1_000_000)
    stream = tmp_path / "transcript.jsonl"
    with stream.open("w") as file:
        for n in range(400):
            for event in (calls("Bash", n, command="x"), returns(n, f"{n} " + "line of output\n" * 7000)):
                file.write(f"{json.dumps(event)}\n")
    assert stream.stat().st_size > 40_000_000
    tracemalloc.start()
    size = len(render_page(stream, "x", {}))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 800_000 < size < 1_200_000
    assert peak < 12_000_000


def test_lines_that_are_not_events_are_skipped(tmp_path: Path) -> None:
    stream = tmp_path / "transcript.jsonl"
    stream.write_bytes(b'\xff\xfe\n{"type":\n[]\n{"type": "assistant", "message": 1}\n{"type": "new"}\n')
    assert b"<article" not in render_page(stream, "x", {})


def test_a_run_saves_the_page(world: World, run: Callable[..., Run]) -> None:
    world.shell("echo hello > hello.txt; cat nothing")
    html = run(instructions="Say hello to the reviewer").saved_file("transcript.html").read_text()
    for text in ("Say hello to the reviewer", "echo hello &gt; hello.txt; cat nothing", "No such file", world.name):
        assert text in html
