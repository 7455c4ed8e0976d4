"""Token usage is read from a reply in each of its three formats, for any division into chunks."""

import binascii
import json
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.local.aws_event_stream import event_frame
from deployments.local.scripted_model import Turn, _events, _message
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
            first_message = {**event["message"], "usage": {**TOKENS, "output_tokens": 1}}
            yield {**event, "message": first_message}
        else:
            yield event


def reply(content_type: str) -> bytes:
    if content_type == ONE:
        return json.dumps(MESSAGE).encode()
    if content_type == AWS:
        return b"".join(event_frame(json.dumps(event)) for event in events())
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events())


def read(content_type: str, *chunks: bytes) -> UsageReader:
    reader = usage_reader(content_type)
    for chunk in chunks:
        reader.feed(chunk)
    return reader


@pytest.mark.parametrize("content_type", [SSE, AWS, ONE])
@given(st.integers(1, 400))
def test_the_usage_does_not_depend_on_how_the_reply_is_chunked(content_type: str, size: int) -> None:
    whole = reply(content_type)
    reader = read(content_type, *(whole[at : at + size] for at in range(0, len(whole), size)))
    assert dict(reader.usage) == TOKENS
    assert reader.is_final
    assert reader.size == len(whole)


@pytest.mark.parametrize("content_type", [SSE, AWS])
def test_an_incomplete_reply_has_the_usage_of_its_first_event(content_type: str) -> None:
    whole = reply(content_type)
    reader = read(content_type, whole[: len(whole) // 2])
    assert not reader.is_final
    assert dict(reader.usage) == {**TOKENS, "output_tokens": 1}


@pytest.mark.parametrize("content_type", [SSE, AWS, ONE, "text/html", ""])
@given(st.binary(max_size=300))
def test_data_that_is_not_a_reply_is_read_without_an_error(content_type: str, garbage: bytes) -> None:
    reader = read(content_type, garbage, b'data: {"usage": 3}\n', b'data: ["usage"]\n')
    assert not reader.is_final
    assert not reader.usage


def test_a_frame_with_a_wrong_checksum_only_ends_the_counting() -> None:
    whole = bytearray(reply(AWS))
    whole[40] ^= 1
    assert not read(AWS, bytes(whole)).is_final


def test_a_frame_of_two_gigabytes_is_not_buffered() -> None:
    lengths = struct.pack(">II", 2**31, 0)
    reader = read(AWS, lengths + struct.pack(">I", binascii.crc32(lengths)))
    tracemalloc.start()
    for _ in range(100):
        reader.feed(bytes(2**20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20
    assert not reader.is_final


def test_an_endless_message_is_buffered_up_to_a_limit() -> None:
    reader, chunk = usage_reader(ONE), b"x" * 2**22
    tracemalloc.start()
    for _ in range(50):
        reader.feed(chunk)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * 64 * 2**20
    assert not reader.is_final


@pytest.mark.parametrize(
    "payload", [b"", b"no JSON", b"[]", b"3", b'{"bytes": 3}', b'{"bytes": "%"}', b'{"message": "x"}']
)
def test_a_frame_without_an_event_is_skipped(payload: bytes) -> None:
    prelude = struct.pack(">II", 16 + len(payload), 0)
    prelude += struct.pack(">I", binascii.crc32(prelude))
    frame = prelude + payload + struct.pack(">I", binascii.crc32(prelude + payload))
    reader = read(AWS, frame + reply(AWS))
    assert dict(reader.usage) == TOKENS
    assert reader.is_final


def test_only_an_aws_event_stream_loads_botocore() -> None:
    script = """
import sys
from flows.model.usage import usage_reader
def is_loaded(): return any(name.partition(".")[0] in {"boto3", "botocore"} for name in sys.modules)
for content_type in ("text/event-stream", "application/json", ""):
    usage_reader(content_type).feed(b"data: {}")
assert not is_loaded()
usage_reader("application/vnd.amazon.eventstream")
assert is_loaded()
"""
    completed_process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert completed_process.returncode == 0, completed_process.stderr


def test_an_error_has_no_usage() -> None:
    assert read(ONE, b'{"type": "error", "error": {"type": "overloaded_error"}}').usage == {}
