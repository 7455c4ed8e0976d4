"""Finds environment variables that look like misspelt variables of this program. A run would silently ignore them."""

from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Final

from pydantic import BaseModel

from flows.parameters.fields import leaves_of
from flows.parameters.implement import ImplementParameters

_OTHER_PROGRAMS: Final = ("AWS_", "ANTHROPIC_", "CLAUDE_CODE_", "DISABLE_PROMPT_CACHING", "PREFECT_")
"""Prefixes of variables that belong to other programs."""

_COMMON_PREFIX_LENGTH: Final = 4
_MIN_SIMILARITY: Final = 0.83


def misspelt_variable(
    environment: Mapping[str, str], model: type[BaseModel] = ImplementParameters
) -> tuple[str, str] | None:
    """Return the first name that looks misspelt, and the variable that was probably meant; None if all look right.

    Args:
        environment: The environment variables.
        model: The parameters of the flow that is to start.
    """
    leaves = leaves_of(model)
    variables = tuple(leaf.variable for leaf in leaves)
    with_group = {leaf.path.replace(".", "_").upper(): leaf.variable for leaf in leaves if leaf.group}
    known = {*variables, *(leaf.variable for leaf in leaves_of(ImplementParameters))}
    for name in sorted(environment):
        if name in known or name.startswith(_OTHER_PROGRAMS):
            continue
        if name in with_group and with_group[name] not in environment:
            return name, with_group[name]
        similar = [
            variable for variable in variables if variable[:_COMMON_PREFIX_LENGTH] == name[:_COMMON_PREFIX_LENGTH]
        ]
        ratios = ((SequenceMatcher(None, name, variable).ratio(), variable) for variable in similar)
        similarity, nearest = max(ratios, default=(0, ""))
        if similarity >= _MIN_SIMILARITY and nearest not in environment:
            return name, nearest
    return None
