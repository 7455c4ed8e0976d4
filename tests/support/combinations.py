"""Chooses which inputs of a test the ordinary run of a suite uses, where each costs a whole run of the flow.

`make … THOROUGH=1` runs them all.
"""

from collections.abc import Collection, Sequence
from itertools import product
from typing import Any, Final

import pytest

THOROUGH: Final = pytest.mark.thorough


def combinations(*axes: Collection[Any]) -> list[Any]:
    """Return all combinations of the axes' values, for `parametrize`.

    The ordinary run has as few of them as show each value at least once. The others are marked as thorough.
    """
    values = [list(axis) for axis in axes]
    length = max(len(axis) for axis in values)
    ordinary = [tuple(axis[number % len(axis)] for axis in values) for number in range(length)]
    return [pytest.param(*each, marks=() if each in ordinary else THOROUGH) for each in product(*values)]


def some(ordinary: Sequence[Any], further: Sequence[Any]) -> list[Any]:
    """Return values for `parametrize`: those of the ordinary run, and further ones of the same kind."""
    return [*ordinary, *(pytest.param(value, marks=THOROUGH) for value in further)]
