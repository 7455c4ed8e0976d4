"""The transcript of a run is read as events, and for its last result and text."""

import json
from pathlib import Path

from flows.agent.event_types import Result, Text, Unknown
from flows.agent.events import MAX_LINE_BYTES
from flows.agent.transcript import events, last_result_and_text


def line(**fields: object) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def reply(*texts: str) -> bytes:
    return line(type="assistant", message={"content": [{"type": "text", "text": text} for text in texts]})


def test_the_last_result_and_text_are_found_among_other_lines() -> None:
    whole = reply("I begin.") + reply("I am done.") + line(type="user", message=3)
    assert last_result_and_text(b'"cut in the middle"}\n' + whole) == (Result(), "I am done.")
    assert last_result_and_text(whole + line(type="result", num_turns=3)) == (Result(turns=3), "I am done.")
    assert last_result_and_text(b"") == (Result(), "")


def test_empty_texts_and_texts_to_the_agent_are_skipped() -> None:
    instruction = {"content": [{"type": "text", "text": "Continue."}]}
    assert last_result_and_text(reply("Done.", "") + line(type="user", message=instruction)) == (Result(), "Done.")


def test_the_last_of_several_results_counts() -> None:
    _, text = last_result_and_text(line(type="result", result="one") + line(type="result", result="two"))
    result, _ = last_result_and_text(line(type="result", result="one") + line(type="result", result="two"))
    assert (result.text, text) == ("two", "")


def test_a_transcript_is_read_as_events(tmp_path: Path) -> None:
    path = tmp_path / "transcript.jsonl"
    path.write_bytes(reply("a", "b") + b"not JSON\n" + line(type="new") + b'{"type": "cut in the mid')
    assert list(events(path)) == [Text("a", role="assistant"), Text("b", role="assistant"), Unknown("new")]


def test_a_line_longer_than_any_event_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "transcript.jsonl"
    with path.open("wb") as file:
        file.write(b'{"type": "')
        file.seek(MAX_LINE_BYTES)
        file.write(b'"}\n' + line(type="new"))
    assert list(events(path)) == [Unknown("new")]
