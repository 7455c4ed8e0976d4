"""The transcript of a run: read in portions, as events, and for the agent's last words."""

import json
from pathlib import Path

from flows.agent.event_types import Result, Text, Unknown
from flows.agent.events import MAX_LINE_BYTES
from flows.agent.transcript import events, last_words


def line(**fields: object) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def reply(*texts: str) -> bytes:
    return line(type="assistant", message={"content": [{"type": "text", "text": text} for text in texts]})


def test_the_last_words_are_the_result_and_the_last_text_whatever_stands_beside_them() -> None:
    whole = reply("I begin.") + reply("I am done.") + line(type="user", message=3)
    assert last_words(b'"cut in the middle"}\n' + whole) == (Result(), "I am done.")
    assert last_words(whole + line(type="result", num_turns=3)) == (Result(turns=3), "I am done.")
    assert last_words(b"") == (Result(), "")


def test_an_empty_text_or_one_to_the_agent_is_not_its_last_word() -> None:
    to_the_agent = {"content": [{"type": "text", "text": "Go on."}]}
    assert last_words(reply("Done.", "") + line(type="user", message=to_the_agent)) == (Result(), "Done.")


def test_of_several_results_the_last_counts() -> None:
    _, text = last_words(line(type="result", result="one") + line(type="result", result="two"))
    result, _ = last_words(line(type="result", result="one") + line(type="result", result="two"))
    assert (result.text, text) == ("two", "")


def test_a_transcript_is_a_stream_of_events(tmp_path: Path) -> None:
    path = tmp_path / "transcript.jsonl"
    path.write_bytes(reply("a", "b") + b"not JSON\n" + line(type="new") + b'{"type": "cut in the mid')
    assert list(events(path)) == [Text("a", role="assistant"), Text("b", role="assistant"), Unknown("new")]


def test_a_line_longer_than_any_event_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "transcript.jsonl"
    with path.open("wb") as file:
        file.write(b'{"type": "')
        file.seek(MAX_LINE_BYTES)
        file.write(b'"}\n' + line(type="new"))
    assert list(events(path)) == [Unknown("new")]
