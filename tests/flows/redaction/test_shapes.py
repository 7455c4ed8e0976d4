"""The shapes of tokens, and the beginnings by which they are found."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.redaction.shapes import _SHAPES, shapes_in


@pytest.mark.parametrize("shape", _SHAPES, ids=lambda shape: shape.pattern[:20])
@given(st.data())
def test_each_match_of_a_shape_is_found_by_its_beginning(shape: re.Pattern[str], data: st.DataObject) -> None:
    token = data.draw(st.from_regex(shape, fullmatch=True))
    assert shape in shapes_in(f"before {token} after".encode())


def test_shapes_are_returned_in_their_own_order_and_not_in_that_of_the_text() -> None:
    assert shapes_in(b"uthorization: https://AKIA ghp_") == [_SHAPES[0], _SHAPES[4], _SHAPES[10], _SHAPES[11]]


def test_ordinary_text_has_no_shape() -> None:
    assert shapes_in(b"see README.md, and glpat or eyj") == []
