"""Finds environment variables that look like misspelt variables of this program. A run would silently ignore them."""

from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Final

from flows.parameters.fields import leaves_of
from flows.parameters.implement import ImplementParameters

_VARIABLES: Final = tuple(leaf.variable for leaf in leaves_of(ImplementParameters))
_WITH_GROUP: Final = {
    leaf.path.replace(".", "_").upper(): leaf.variable for leaf in leaves_of(ImplementParameters) if leaf.group
}
"""The variables by the parameter's whole name, such as PULL_REQUEST_REVIEWERS for pull_request.reviewers."""

_OTHER_PROGRAMS: Final = ("AWS_", "ANTHROPIC_", "CLAUDE_CODE_", "DISABLE_PROMPT_CACHING", "PREFECT_")
"""Prefixes of variables that belong to other programs."""

_COMMON_PREFIX_LENGTH: Final = 4
_MIN_SIMILARITY: Final = 0.83


def misspelt_variable(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the first name that looks misspelt, and the variable that was probably meant; None if all look right."""
    for name in sorted(environment):
        if name in _VARIABLES or name.startswith(_OTHER_PROGRAMS):
            continue
        if name in _WITH_GROUP and _WITH_GROUP[name] not in environment:
            return name, _WITH_GROUP[name]
        similar = [
            variable for variable in _VARIABLES if variable[:_COMMON_PREFIX_LENGTH] == name[:_COMMON_PREFIX_LENGTH]
        ]
        ratios = ((SequenceMatcher(None, name, variable).ratio(), variable) for variable in similar)
        similarity, nearest = max(ratios, default=(0, ""))
        if similarity >= _MIN_SIMILARITY and nearest not in environment:
            return name, nearest
    return None
