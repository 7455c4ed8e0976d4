"""The shapes of tokens, and how each of them begins."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.redaction.shapes import _SHAPES, shapes_in


@pytest.mark.parametrize("shape", _SHAPES, ids=lambda shape: shape.pattern[:20])
@given(st.data())
def test_a_text_that_a_shape_matches_holds_its_beginning(shape: re.Pattern[str], data: st.DataObject) -> None:
    token = data.draw(st.from_regex(shape, fullmatch=True))
    assert shape in shapes_in(f"before {token} after".encode())


def test_shapes_are_in_their_order_however_they_stand_in_the_text() -> None:
    assert shapes_in(b"uthorization: https://AKIA ghp_") == [_SHAPES[0], _SHAPES[4], _SHAPES[10], _SHAPES[11]]


def test_no_shape_is_in_ordinary_text() -> None:
    assert shapes_in(b"see README.md, and glpat or eyj") == []
