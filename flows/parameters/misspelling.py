"""Environment variables that look like a misspelt variable of a parameter: a run would ignore them without a word."""

from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Final

from flows.parameters.fields import leaves_of
from flows.parameters.implement import ImplementParameters

_VARIABLES: Final = tuple(leaf.variable for leaf in leaves_of(ImplementParameters))
_OTHER_PROGRAMS: Final = ("AWS_", "ANTHROPIC_", "CLAUDE_CODE_", "DISABLE_PROMPT_CACHING", "PREFECT_")
"""Beginnings of variables that belong to other programs."""

_SAME_START: Final = 4
_LEAST_SIMILARITY: Final = 0.83


def misspelt_variable(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the first variable that looks misspelt, and the one that is probably meant; None if there is none."""
    for name in sorted(environment):
        if name in _VARIABLES or name.startswith(_OTHER_PROGRAMS):
            continue
        similar = [variable for variable in _VARIABLES if variable[:_SAME_START] == name[:_SAME_START]]
        similarity, nearest = max(((_similarity(name, variable), variable) for variable in similar), default=(0, ""))
        if similarity >= _LEAST_SIMILARITY and nearest not in environment:
            return name, nearest
    return None


def _similarity(first: str, second: str) -> float:
    return SequenceMatcher(None, first, second).ratio()
