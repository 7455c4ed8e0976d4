"""Claude Code's event stream: any chunks are joined into lines, and any bytes are parsed."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.agent.events import LineFramer, parse

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("a\nb\x1b[31m"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def split_lines(framer: LineFramer, chunks: Iterable[bytes]) -> list[bytes]:
    return [*(line for chunk in chunks for line in framer.feed(chunk)), framer.rest()]


@given(
    st.lists(st.binary(max_size=20) | st.sampled_from([b"\n", b"\n\n", b"a\r\n", b"", b"\xc3", b"\xa9"]), max_size=20)
)
def test_lines_do_not_depend_on_how_the_stream_is_chunked(chunks: list[bytes]) -> None:
    assert split_lines(LineFramer(), chunks) == b"".join(chunks).split(b"\n")


@given(st.lists(st.text("ab\n", max_size=12).map(str.encode), max_size=20), st.integers(min_value=0, max_value=8))
def test_only_lines_over_the_limit_become_empty(chunks: list[bytes], limit: int) -> None:
    lines = b"".join(chunks).split(b"\n")
    assert split_lines(LineFramer(limit), chunks) == [line if len(line) <= limit else b"" for line in lines]


def test_an_overlong_line_is_not_buffered_in_memory() -> None:
    framer = LineFramer(limit=1000)
    for _ in range(5000):
        assert list(framer.feed(b"x" * 500)) == []
    assert sum(len(chunk) for chunk in framer._chunks) <= 1000
    assert list(framer.feed(b'\n{"type": "result"}\nrest')) == [b"", b'{"type": "result"}']
    assert framer.rest() == b"rest"
    assert framer.rest() == b""


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (b'{"type": "result"}', {"type": "result"}),
        (b' {"type": "result"}\r', {"type": "result"}),
        (b'{"type": "new_kind", "a": [1]}', {"type": "new_kind", "a": [1]}),
        (b'{"text": "\xff\xc3"}', {"text": "\ufffd\ufffd"}),
        (b'{"type": "resu', {}),
        (b'{"type": "result"} trailing', {}),
        (b"", {}),
        (b"Debugger attached.", {}),
        (b"[1]", {}),
        (b'"text"', {}),
        (b"null", {}),
        (b"\x00\x01", {}),
        (b"\xef\xbb\xbf{}", {}),
        (b'{"n": ' + b"9" * 5000 + b"}", {}),
        (b"[" * 100_000, {}),
        (b'{"a":' * 100_000, {}),
    ],
    ids=range(16),
)
def test_a_line_is_parsed_as_an_object_or_as_empty(line: bytes, event: dict[str, Any]) -> None:
    assert parse(line) == event


@given(st.binary(max_size=60) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_line_is_parsed_as_an_object(line: bytes) -> None:
    assert isinstance(parse(line), dict)
