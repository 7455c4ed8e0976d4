"""Reading what a reply took, in each of its three forms, in whatever pieces it arrives."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.local.scripted_model import Turn, _events, _frame, _message
from flows.model.usage import UsageReader, usage_reader

TOKENS = {
    "input_tokens": 7,
    "output_tokens": 150,
    "cache_creation_input_tokens": 30,
    "cache_read_input_tokens": 2000,
}
MESSAGE = _message(Turn('I say "usage": {"input_tokens": 999999}.' + "x" * 500, usage=TOKENS), "a-model")
SSE, AWS, ONE = "text/event-stream; charset=utf-8", "application/vnd.amazon.eventstream", "application/json"


def events() -> Iterator[dict[str, Any]]:
    for event in _events(MESSAGE):
        if event["type"] == "message_start":
            early = {**event["message"], "usage": {**TOKENS, "output_tokens": 1}}
            yield {**event, "message": early}
        else:
            yield event


def reply(form: str) -> bytes:
    if form == ONE:
        return json.dumps(MESSAGE).encode()
    if form == AWS:
        return b"".join(_frame(json.dumps(event)) for event in events())
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events())


def read(form: str, *parts: bytes) -> UsageReader:
    reader = usage_reader(form)
    for part in parts:
        reader.feed(part)
    return reader


@pytest.mark.parametrize("form", [SSE, AWS, ONE])
@given(st.integers(1, 400))
def test_the_usage_is_read_in_whatever_pieces_it_comes(form: str, size: int) -> None:
    whole = reply(form)
    reader = read(form, *(whole[at : at + size] for at in range(0, len(whole), size)))
    assert dict(reader.usage) == TOKENS
    assert reader.is_final
    assert reader.size == len(whole)


@pytest.mark.parametrize("form", [SSE, AWS])
def test_a_reply_that_breaks_off_has_said_what_it_began_with(form: str) -> None:
    whole = reply(form)
    reader = read(form, whole[: len(whole) // 2])
    assert not reader.is_final
    assert dict(reader.usage) == {**TOKENS, "output_tokens": 1}


@pytest.mark.parametrize("form", [SSE, AWS, ONE, "text/html", ""])
@given(st.binary(max_size=300))
def test_what_is_no_reply_is_read_without_a_fault(form: str, garbage: bytes) -> None:
    reader = read(form, garbage, b'data: {"usage": 3}\n', b'data: ["usage"]\n')
    assert not reader.is_final
    assert not reader.usage


def test_a_frame_whose_checksum_is_wrong_ends_the_counting_and_no_more() -> None:
    whole = bytearray(reply(AWS))
    whole[40] ^= 1
    assert not read(AWS, bytes(whole)).is_final


def test_an_error_took_nothing() -> None:
    assert read(ONE, b'{"type": "error", "error": {"type": "overloaded_error"}}').usage == {}
